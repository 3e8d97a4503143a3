import {expect, test} from 'vitest';
import {createDatabase} from './postgres.ts';

test('the test server replicates logically', async () => {
  await using db = await createDatabase('CREATE TABLE t (id int PRIMARY KEY)');
  const {rows} = await db.query('SHOW wal_level');
  expect(rows).toEqual([{wal_level: 'logical'}]);
});
