import fc from 'fast-check';
import {expect, test} from 'vitest';
import {digestOfIds} from '../../src/ivm/id-digest.ts';

test('the digest of a set does not depend on the order', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string()), ids => {
      expect(digestOfIds([...ids].reverse())).toBe(digestOfIds(ids));
    }),
  );
});

test('similar sets have different digests, and every part of a digest differs between texts', () => {
  const ids = Array.from({length: 1000}, (_, i) => `issue\0{"id":"i${i}"}`);
  const digests = ids.map(id => digestOfIds([id]));
  for (let part = 0; part < 4; part++)
    expect(new Set(digests.map(digest => digest.slice(part * 8, part * 8 + 8))).size).toBeGreaterThan(998);
  const without = ids.map((_, i) => digestOfIds(ids.filter((_, n) => n !== i)));
  expect(new Set(without.concat(digestOfIds(ids), digestOfIds([]))).size).toBe(1002);
});
