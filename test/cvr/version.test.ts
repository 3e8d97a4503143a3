import fc from 'fast-check';
import {expect, test} from 'vitest';
import {
  type CvrVersion,
  compareVersions,
  EMPTY,
  formatVersion,
  nextVersion,
  parseCookie,
} from '../../src/cvr/version.ts';
import {lexi} from '../../src/pg/lsn.ts';

/** Where the replica stands when a group changes: on with the stream, on beside it, or where it was. */
const steps = fc.array(fc.constantFrom('stream', 'beside', 'same'), {maxLength: 80});

test('each version of a group is above the last one, by its parts and by its text, wherever the replica stands', () => {
  fc.assert(
    fc.property(steps, moves => {
      let current: CvrVersion = EMPTY;
      let [major, minor] = [1, 0];
      for (const move of moves) {
        if (move === 'stream') [major, minor] = [major + 30, 0];
        else if (move === 'beside') minor++;
        const next = nextVersion(current, minor ? `${lexi(major)}.${lexi(minor)}` : lexi(major));
        expect(compareVersions(next, current)).toBeGreaterThan(0);
        expect(formatVersion(next) > formatVersion(current)).toBe(true);
        expect(parseCookie(formatVersion(next))).toEqual(next);
        current = next;
      }
    }),
  );
});
