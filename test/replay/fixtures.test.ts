import {expect, inject, test} from 'vitest';
import {findFixtures, readFixture} from '../../src/replay/fixture.ts';
import {fixtureReplay} from './io.ts';

const dirs = findFixtures(['fixtures']);

test('the promised kinds of recordings are there, from both versions of PostgreSQL', () => {
  const names = dirs.map(dir => readFixture(dir).name);
  for (const name of ['toast', 'multi-table', 'truncate-and-key-change', 'types', 'arrays', 'names'])
    for (const version of ['pg15', 'pg18']) expect(names).toContain(`wal/${name}-${version}`);
});

test.each(dirs)('%s', async dir => {
  const {code, out, err} = await fixtureReplay('--diff', '--postgres', inject('postgresUrl'), dir);
  expect(err).toBe('');
  expect(code, out).toBe(0);
  expect(out).toContain('1 as expected');
});
