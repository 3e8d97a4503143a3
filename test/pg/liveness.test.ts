import {setTimeout} from 'node:timers/promises';
import {expect, test} from 'vitest';
import {arrives, T} from '../helpers/arrives.ts';
import {testConfig} from '../helpers/config.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {type Replicating, replicating} from '../helpers/replicating.ts';
import {startProxy} from '../helpers/tcp-proxy.ts';
import {until} from '../helpers/until.ts';

const walsender = async (db: TestDatabase): Promise<number | null> =>
  (
    await db.query(
      'SELECT active_pid FROM pg_replication_slots WHERE database = current_database() AND NOT temporary',
    )
  ).rows[0]?.active_pid ?? null;

const streaming = async (db: TestDatabase): Promise<number> => {
  await until(async () => (await walsender(db)) !== null, 'the slot is streamed from');
  return (await walsender(db))!;
};

const retries = (replica: Replicating) => replica.logged.filter(line => line.includes('Trying again'));

test('a quiet publication lets the slot advance: WAL of unpublished tables does not pile up', async () => {
  await using db = await createDatabase(`${T} CREATE SCHEMA hidden; CREATE TABLE hidden.busy (v text)`);
  await using replica = await replicating(db);
  await db.query(`INSERT INTO hidden.busy SELECT repeat(md5(i::text), 100) FROM generate_series(1, 5000) i`);
  const {rows} = await db.query('SELECT pg_current_wal_lsn()::text AS lsn');
  await until(
    async () =>
      (
        await db.query(
          `SELECT confirmed_flush_lsn >= $1::pg_lsn AS ok FROM pg_replication_slots WHERE database = current_database()`,
          [rows[0].lsn],
        )
      ).rows[0]?.ok === true,
    'the slot is beyond what nobody replicates',
  );
  expect(replica.rows('SELECT * FROM t')).toEqual([]);
  expect(replica.mishaps()).toEqual([]);
});

test('a pipe that waits for the change log goes on answering a server of little patience', async () => {
  await using db = await createDatabase(T);
  await db.query(`ALTER DATABASE "${db.name}" SET wal_sender_timeout = '3s'`);
  await using replica = await replicating(db);
  const pid = await streaming(db);
  const lock = await db.pool.connect();
  await lock.query(`BEGIN; LOCK TABLE "${db.appID}_0/cdc"."changeLog" IN ACCESS EXCLUSIVE MODE`);
  // More than the tee holds: the source is paused.
  await db.query(`INSERT INTO t (v) SELECT repeat('x', 60000) FROM generate_series(1, 600)`);
  const started = Date.now();
  await until(async () => {
    expect(await walsender(db)).toBe(pid);
    return Date.now() - started > 7000;
  }, 'twice the patience of the server has passed');
  await lock.query('ROLLBACK');
  lock.release();
  await arrives(db, replica);
  expect(await walsender(db)).toBe(pid);
  expect(retries(replica)).toEqual([]);
});

test('a half-open connection is given up after its limit, and nothing is lost', async () => {
  await using db = await createDatabase(T);
  await using proxy = await startProxy(db.url);
  const {upstream} = testConfig(db, '/nowhere');
  await using replica = await replicating(db, {
    upstream: {...upstream, db: proxy.url, pgStreamInboundTimeoutMs: 700},
  });
  await arrives(db, replica);
  proxy.stall();
  await arrives(db, replica);
  expect(retries(replica).join()).toContain('sent nothing for');
  expect(replica.mishaps()).toEqual([]);
});

test('silence of a server that has nothing to say is not mistaken for death', async () => {
  await using db = await createDatabase(T);
  const {upstream} = testConfig(db, '/nowhere');
  await using replica = await replicating(db, {upstream: {...upstream, pgStreamInboundTimeoutMs: 400}});
  const pid = await streaming(db);
  const started = Date.now();
  await until(() => Date.now() - started > 2000, 'five times the limit has passed');
  expect(await walsender(db)).toBe(pid);
  expect(retries(replica)).toEqual([]);
});

test('a server that never gives up on its own is neither given up nor flooded', async () => {
  await using db = await createDatabase(T);
  await db.query(`ALTER DATABASE "${db.name}" SET wal_sender_timeout = 0`);
  await using replica = await replicating(db);
  const pid = await streaming(db);
  await arrives(db, replica);
  const replies = async () =>
    (await db.query('SELECT reply_time::text AS at FROM pg_stat_replication WHERE pid = $1', [pid])).rows[0]
      .at;
  // A limit of zero must not make a timer of zero, which would say something in each of these moments. Something now and
  // then is no flood: the server goes on with the positions of other databases.
  let said = 0;
  let last = await replies();
  for (let i = 0; i < 100; i++) {
    await setTimeout(20);
    const now = await replies();
    if (now !== last) said++;
    last = now;
  }
  expect(said).toBeLessThan(60);
  expect(await walsender(db)).toBe(pid);
  expect(retries(replica)).toEqual([]);
  await arrives(db, replica);
});

test('a connection that breaks again and again costs nothing but time', async () => {
  await using db = await createDatabase(T);
  await using proxy = await startProxy(db.url);
  const {upstream} = testConfig(db, '/nowhere');
  await using replica = await replicating(db, {upstream: {...upstream, db: proxy.url}});
  for (let i = 0; i < 4; i++) {
    await db.query(`INSERT INTO t (v) SELECT repeat('x', 5000) FROM generate_series(1, 200)`);
    proxy.cut();
    await arrives(db, replica);
  }
  expect(replica.mishaps()).toEqual([]);
});

test('an initial sync that is cut off starts anew and leaves no slot behind', async () => {
  await using db = await createDatabase(
    `${T} INSERT INTO t (v) SELECT repeat('x', 2000) FROM generate_series(1, 20000)`,
  );
  await using proxy = await startProxy(db.url);
  const {upstream} = testConfig(db, '/nowhere');
  const starting = replicating(db, {upstream: {...upstream, db: proxy.url}});
  const copying = async () =>
    (
      await db.query(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY %' AND application_name LIKE 'zerostream-initial-sync%'`,
      )
    ).rowCount !== 0;
  await until(copying, 'tables are copied');
  proxy.cut();
  await using replica = await starting;
  await arrives(db, replica);
  expect(retries(replica).join()).toContain('The initial sync was interrupted');
  const {rows} = await db.query(
    'SELECT slot_name FROM pg_replication_slots WHERE database = current_database()',
  );
  expect(rows).toHaveLength(1);
});
