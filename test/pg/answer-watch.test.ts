import type {Socket} from 'node:net';
import pg from 'pg';
import {to as copyTo} from 'pg-copy-streams';
import {expect, test, vi} from 'vitest';
import {AnswerWatch} from '../../src/pg/answer-watch.ts';
import {connect, createPool} from '../../src/pg/connect.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {startProxy} from '../helpers/tcp-proxy.ts';
import {until} from '../helpers/until.ts';

const EVERY_MS = 50;
/** More than the two that are enough for a verdict. */
const LOOKS = 6;

/** A client behind `url` that is watched from `db`'s own address, and the looks that were taken. */
const watched = async (db: TestDatabase, url: string) => {
  const client = new pg.Client(url);
  client.on('error', () => {});
  await client.connect();
  const looks = {taken: 0};
  const watch = new AnswerWatch(async () => {
    const checker = new pg.Client(db.url);
    await checker.connect();
    checker.once('end', () => looks.taken++);
    return checker;
  }, EVERY_MS);
  watch.add(client);
  return {client, looks};
};

const pidOf = async (client: pg.Client): Promise<number> =>
  (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid;

const isGone = async (db: TestDatabase, pid: number): Promise<boolean> =>
  (await db.query('SELECT 1 FROM pg_stat_activity WHERE pid = $1', [pid])).rowCount === 0;

const runs = async (db: TestDatabase, pid: number): Promise<boolean> =>
  (await db.query(`SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active'`, [pid])).rowCount ===
  1;

test('a statement that never arrives is given up, and its backend lets go of its locks', async () => {
  await using db = await createDatabase('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
  await using proxy = await startProxy(db.url);
  const {client} = await watched(db, proxy.url);
  await client.query('BEGIN; SELECT * FROM t FOR UPDATE');
  proxy.stall();
  await expect(client.query('COMMIT')).rejects.toThrow('knows nothing of its statement');
  await db.query('UPDATE t SET id = 2');
});

test('an answer that never arrives is given up', async () => {
  await using db = await createDatabase();
  await using proxy = await startProxy(db.url);
  const {client} = await watched(db, proxy.url);
  const pid = await pidOf(client);
  const holder = await db.pool.connect();
  await holder.query('SELECT pg_advisory_lock(1)');
  const answer = client.query('SELECT pg_advisory_lock(1)');
  const end = expect(answer).rejects.toThrow('knows nothing of its statement');
  await until(() => runs(db, pid), 'it waits for the lock');
  proxy.stall();
  await holder.query('SELECT pg_advisory_unlock_all()');
  holder.release();
  await end;
  await until(() => isGone(db, pid), 'the backend is gone');
});

test('so is one of which a part has arrived, and one whose backend is gone', async () => {
  await using db = await createDatabase();
  await using proxy = await startProxy(db.url, {bytesPerSecond: 1_000_000});
  const {client} = await watched(db, proxy.url);
  const {client: other} = await watched(db, proxy.url);
  const pid = await pidOf(other);
  const ends = Promise.allSettled([
    client.query(`SELECT repeat('x', 1000) FROM generate_series(1, 100_000) i`),
    other.query('SELECT pg_sleep(3600)'),
  ]);
  const {stream} = client.connection as unknown as {readonly stream: Socket};
  await until(() => stream.bytesRead > 100_000, 'some of it has arrived');
  await until(() => runs(db, pid), 'the other one runs');
  proxy.stall();
  await db.query('SELECT pg_terminate_backend($1)', [pid]);
  for (const end of await ends)
    expect(end).toMatchObject({reason: {message: expect.stringContaining('knows nothing of its statement')}});
});

test('neither a long statement nor one whose rows we are slow to take is given up', async () => {
  await using db = await createDatabase();
  const long = await watched(db, db.url);
  const holder = await db.pool.connect();
  await holder.query('SELECT pg_advisory_lock(1)');
  const answer = long.client.query('SELECT pg_advisory_lock(1)');
  const slow = await watched(db, db.url);
  const rows = slow.client.query(
    copyTo(`COPY (SELECT repeat('x', 1000) FROM generate_series(1, 20000)) TO STDOUT`),
  );
  let bytes = 0;
  for await (const chunk of rows as AsyncIterable<Buffer>) {
    // At the first one the rest waits in the socket, and PostgreSQL for it.
    if (bytes === 0) await until(() => long.looks.taken >= LOOKS, 'several looks were taken');
    bytes += chunk.length;
  }
  expect(bytes).toBe(20_000 * 1001);
  await holder.query('SELECT pg_advisory_unlock_all()');
  holder.release();
  expect((await answer).rowCount).toBe(1);
  await Promise.all([long.client.end(), slow.client.end()]);
});

test('behind a pooler, whose numbers are not those of PostgreSQL, nothing is given up', async () => {
  await using db = await createDatabase();
  const client = new pg.Client(db.url);
  await client.connect();
  let looks = 0;
  const watch = new AnswerWatch(async () => {
    const checker = new pg.Client(db.url);
    await checker.connect();
    checker.once('end', () => looks++);
    return Object.assign(checker, {processID: -1});
  }, EVERY_MS);
  const pid = await pidOf(client);
  Object.assign(client, {processID: -2});
  watch.add(client);
  const end = expect(client.query('SELECT pg_sleep(3600)')).rejects.toThrow('canceling statement');
  await until(() => looks >= LOOKS, 'several looks were taken');
  await db.query('SELECT pg_cancel_backend($1)', [pid]);
  await end;
  await client.end();
});

test('all connections of ours are watched', async () => {
  await using db = await createDatabase();
  const add = vi.spyOn(AnswerWatch.prototype, 'add');
  try {
    const client = await connect(db.url, {purpose: 'test'});
    const pool = createPool(db.url, {purpose: 'test', max: 1});
    const pooled = await pool.connect();
    expect(add.mock.calls).toEqual([[client], [pooled]]);
    pooled.release();
    await Promise.all([client.end(), pool.end()]);
  } finally {
    add.mockRestore();
  }
});
