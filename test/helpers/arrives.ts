import {existsSync} from 'node:fs';
import type {TestDatabase} from './postgres.ts';
import type {Replicating} from './replicating.ts';
import {until} from './until.ts';

/** Rows to replicate: `t (id int PRIMARY KEY, v text)`, as `arrives` expects it. */
export const T = 'CREATE TABLE t (id serial PRIMARY KEY, v text);';

/** Writes a row upstream and waits until the replica has it and equals upstream, rebuilt meanwhile or not. */
export const arrives = async (db: Pick<TestDatabase, 'query'>, replica: Replicating): Promise<void> => {
  const {rows} = await db.query(`INSERT INTO t (v) VALUES ('new') RETURNING id`);
  const id = rows[0].id as number;
  const count = (sql: string): unknown[][] => {
    try {
      return existsSync(replica.config.replica.file) ? replica.rows(sql) : [];
    } catch {
      return []; // Being rebuilt.
    }
  };
  await until(() => count(`SELECT 1 FROM t WHERE id = ${id}`).length > 0, `row ${id} arrives`);
  const wanted = await db.query('SELECT count(*)::int AS n, COALESCE(sum(id), 0)::int AS s FROM t');
  await until(
    () =>
      JSON.stringify(count('SELECT count(*), sum(id) FROM t')[0]) ===
      JSON.stringify([wanted.rows[0].n, wanted.rows[0].s]),
    'the replica has all rows',
  );
};
