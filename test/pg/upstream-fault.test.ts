import pg from 'pg';
import {expect, test} from 'vitest';
import {PipelineBug, UpstreamUnreachable} from '../../src/errors.ts';
import {upstreamFault} from '../../src/pg/upstream-fault.ts';
import {createDatabase} from '../helpers/postgres.ts';

test('what PostgreSQL and the network say is waited out; faults of ours are not', async () => {
  await using db = await createDatabase('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (4711)');
  const failing = async (work: () => Promise<unknown>): Promise<unknown> =>
    work().then(
      () => null,
      error => error,
    );
  const cut = await db.pool.connect();
  cut.on('error', () => {});
  const terminated = failing(() => cut.query('SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)'));
  expect(upstreamFault(await terminated)).toBeInstanceOf(UpstreamUnreachable);
  const afterwards = await failing(() => cut.query('SELECT 1'));
  expect(upstreamFault(afterwards)).toBeInstanceOf(UpstreamUnreachable);
  cut.release(true);

  const refused = await failing(() => new pg.Client('postgres://u:p@127.0.0.1:1/x').connect());
  expect(upstreamFault(refused)).toBeInstanceOf(UpstreamUnreachable);

  const duplicate = upstreamFault(await failing(() => db.query('INSERT INTO t VALUES (4711)')));
  expect(duplicate?.message).toBe('PostgreSQL does not answer as it should (SQLSTATE 23505).');

  expect(upstreamFault(new TypeError('x is not a function'))).toBeNull();
  expect(upstreamFault(new PipelineBug('Connection of two things'))).toBeNull();
});
