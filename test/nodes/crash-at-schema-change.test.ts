import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {
  becomesEqual,
  changeStreamer,
  dump,
  killProcess,
  replicationManager,
  viewSyncer,
} from '../helpers/cluster.ts';
import type {Daemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {until} from '../helpers/until.ts';

const TABLE = `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')`;

/** Shows by a change that the node gets what is new. */
const follows = async (db: TestDatabase, follower: Daemon) => {
  await db.query(`INSERT INTO t VALUES (2, 'b')`);
  await until(() => dump(follower).some(line => line.includes('"b"')), 'the change has arrived');
};

test('a crash between replica and change log, at a schema change, leaves no node without it', async () => {
  await using db = await createDatabase(TABLE);
  const dir = await mkdtemp(join(tmpdir(), 'zs-crash-'));
  let manager = await replicationManager(db, {dir});
  try {
    await using follower = await viewSyncer(db, changeStreamer(manager));
    await follows(db, follower);

    const release = await aheadOfLog(db, manager, follower);
    const {port} = manager;
    await killProcess(manager, 'replicator');
    await release();

    manager = await replicationManager(db, {dir, port});
    await db.query(`INSERT INTO t VALUES (5, 'afterwards', 9)`);
    await until(() => dump(manager).some(line => line.includes('afterwards')), 'the replica goes on');
    await becomesEqual(follower, manager);
    expect(manager.output()).toContain('the change log lacks a schema change');
    expect(manager.output()).not.toContain('initial sync started');
  } finally {
    await manager[Symbol.asyncDispose]();
    await rm(dir, {recursive: true, force: true});
  }
});

test('a stream that breaks there lets other nodes fetch the replica once: copies from before are not handed out any more', async () => {
  await using db = await createDatabase(TABLE);
  await using manager = await replicationManager(db);
  await using follower = await viewSyncer(db, changeStreamer(manager));
  await follows(db, follower);
  const release = await aheadOfLog(db, manager, follower);
  await endWaiting(db);
  await until(() => manager.output().includes('Trying again'), 'the stream has ended');
  await release();
  await db.query(`INSERT INTO t VALUES (5, 'afterwards', 9)`);
  await until(() => dump(manager).some(line => line.includes('afterwards')), 'the replica goes on');
  await becomesEqual(follower, manager);
  expect(manager.output()).toContain('the change log lacks a schema change');
  expect(follower.output().match(/The replica is rebuilt/g)).toHaveLength(1);
});

test('a schema change waits until what was applied before it is logged: a stream that breaks meanwhile leaves no gap', async () => {
  await using db = await createDatabase(TABLE);
  await using manager = await replicationManager(db);
  await using follower = await viewSyncer(db, changeStreamer(manager));
  await follows(db, follower);
  const lock = await db.pool.connect();
  await lock.query(`BEGIN; LOCK TABLE "${db.appID}_0/cdc"."changeLog" IN SHARE MODE`);
  await db.query(`INSERT INTO t VALUES (3, 'old shape')`);
  await until(() => dump(manager).some(line => line.includes('old shape')), 'the replica has the row');
  await db.query(`ALTER TABLE t ADD COLUMN n int DEFAULT 7; INSERT INTO t VALUES (4, 'new shape', 8)`);
  const {rows} = await db.query('SELECT pg_current_wal_lsn() AS lsn');
  await until(
    async () =>
      (
        await db.query(
          `SELECT active_pid FROM pg_replication_slots JOIN pg_stat_replication ON pid = active_pid
           WHERE database = current_database() AND sent_lsn >= $1`,
          [rows[0].lsn],
        )
      ).rowCount === 1,
    'the schema change was sent',
  );
  await endWaiting(db);
  await until(() => manager.output().includes('Trying again'), 'the stream has ended');
  await lock.query('ROLLBACK');
  lock.release();
  await db.query(`INSERT INTO t VALUES (5, 'afterwards', 9)`);
  await until(() => dump(manager).some(line => line.includes('afterwards')), 'the replica goes on');
  await becomesEqual(follower, manager);
  expect(manager.output()).not.toContain('the change log lacks a schema change');
  expect(follower.output()).not.toContain('The replica is rebuilt');
});

/** The log cannot be written until the returned function is called: a schema change has reached the replica alone. */
const aheadOfLog = async (
  db: TestDatabase,
  manager: Daemon,
  follower: Daemon,
): Promise<() => Promise<void>> => {
  const lock = await db.pool.connect();
  await lock.query(`BEGIN; LOCK TABLE "${db.appID}_0/cdc"."changeLog" IN SHARE MODE`);
  // One transaction: a second one with a change of shape would wait for the log.
  await db.query(
    `INSERT INTO t VALUES (3, 'old shape'); ALTER TABLE t RENAME COLUMN v TO w; ALTER TABLE t ADD COLUMN n int DEFAULT 7`,
  );
  await db.query(`INSERT INTO t VALUES (4, 'new shape', 8)`);
  await until(() => dump(manager).some(line => line.includes('new shape')), 'the replica has all');
  expect(dump(follower).join()).not.toContain('old shape');
  const waiting = `SELECT FROM pg_stat_activity WHERE ${WAITS_FOR_LOG}`;
  await until(async () => (await db.query(waiting)).rowCount === 1, 'the log waits');
  return async () => {
    await endWaiting(db);
    await lock.query('ROLLBACK');
    lock.release();
  };
};

/** What waits for the log to be unlocked fails, or else PostgreSQL would go on with it although nobody waits any more. */
const endWaiting = (db: TestDatabase): Promise<unknown> =>
  db.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${WAITS_FOR_LOG}`);

const WAITS_FOR_LOG = `datname = current_database() AND application_name = 'zerostream-change-log' AND wait_event_type = 'Lock'`;
