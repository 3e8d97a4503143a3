import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {UpstreamUnreachable} from '../../src/errors.ts';
import {recoverReplica} from '../../src/nodes/recover-replica.ts';
import {silentLog} from '../../src/observe/log.ts';
import {deleteReplica, openReader} from '../../src/replica/open.ts';
import {changeStreamer, dump, replicationManager, viewSyncer} from '../helpers/cluster.ts';
import {testConfig} from '../helpers/config.ts';
import type {Daemon} from '../helpers/daemon.ts';
import {connections, createDatabase} from '../helpers/postgres.ts';
import {freePort} from '../helpers/postgres-server.ts';
import {until} from '../helpers/until.ts';

const T = `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'old' FROM generate_series(1, 500) i`;
const env = {ZERO_CHANGE_STREAMER_SECRET: 'between us'};

/** The replication-manager's disk. */
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zs-lost-'));
});
afterEach(() => rm(dir, {recursive: true, force: true}));

const replicaVersion = ({replicaFile}: Daemon) => {
  const db = openReader(replicaFile);
  try {
    return db.prepare('SELECT replicaVersion FROM "_zero.replicationConfig"').pluck().get();
  } finally {
    db.close();
  }
};

const equal = async (one: Daemon, other: Daemon, holds: string) => {
  await until(() => dump(one).some(line => line.includes(holds)), `${holds} is replicated`);
  await until(() => dump(one).join('\n') === dump(other).join('\n'), 'both are equal').catch(() => {});
  expect(dump(other)).toEqual(dump(one));
};

test('a replication-manager whose disk is gone has its replica back from a view-syncer and goes on at its slot', async () => {
  await using db = await createDatabase(T);
  const first = await replicationManager(db, {dir, env});
  await using vs = await viewSyncer(db, changeStreamer(first), {env});
  await db.query(`UPDATE t SET v = 'seen by both' WHERE id < 100`);
  await equal(first, vs, 'seen by both');
  const version = replicaVersion(vs);
  const slots = async () =>
    (await db.query('SELECT slot_name FROM pg_replication_slots WHERE database = current_database()')).rows;
  const slot = await slots();

  await first.kill();
  deleteReplica(first.replicaFile);
  await db.query(`INSERT INTO t SELECT i, 'while it was gone' FROM generate_series(501, 600) i`);
  await using second = await replicationManager(db, {dir, env, port: first.port});
  expect(second.output()).toContain('the replica is fetched');
  expect(second.output()).not.toContain('initial sync started');
  await db.query(`ALTER TABLE t ADD COLUMN n int DEFAULT 3; INSERT INTO t VALUES (1000, 'afterwards', 4)`);
  await equal(second, vs, 'afterwards');
  expect(replicaVersion(second)).toBe(version);
  expect(await slots()).toEqual(slot);
  expect((await db.query('SELECT count(*)::int AS n FROM t')).rows).toEqual([{n: 601}]);
  expect(
    dump(second).filter(line => line.includes('"table":"t"') || line.includes('while it was gone')).length,
  ).toBeGreaterThan(99);
  // Nobody who followed had to begin anew.
  expect(vs.output().match(/the replica is fetched/g)?.length).toBe(1);
});

test('where nobody has it, the replica is built anew, and the log says why', async () => {
  await using db = await createDatabase(T);
  const first = await replicationManager(db, {dir, env});
  const vs = await viewSyncer(db, changeStreamer(first), {env});
  await db.query(`UPDATE t SET v = 'seen by both' WHERE id < 100`);
  await equal(first, vs, 'seen by both');
  await vs[Symbol.asyncDispose]();
  await first.kill();
  deleteReplica(first.replicaFile);
  await using second = await replicationManager(db, {dir, env, port: first.port});
  expect(second.output()).toContain('no node could hand out the replica');
  expect(second.output()).toContain('initial sync finished');
  await db.query(`INSERT INTO t VALUES (1000, 'afterwards')`);
  await until(() => dump(second).some(line => line.includes('afterwards')), 'it streams');
});

test('a new replication-manager with an empty disk takes the replica from the old one, and slot and log over, under writes', async () => {
  await using db = await createDatabase(T);
  /** A replication-manager that others find under its own address. */
  const manager = async () => {
    const port = await freePort(1);
    const address = {ZERO_CHANGE_STREAMER_ADDRESS: `127.0.0.1:${port + 1}`};
    return replicationManager(db, {port, env: {...env, ...address}});
  };
  await using old = await manager();
  await using vs = await viewSyncer(db, changeStreamer(old), {
    env: {...env, ZERO_CHANGE_STREAMER_URI: '', ZERO_CHANGE_STREAMER_MODE: 'discover'},
  });
  const version = replicaVersion(old);
  let writing = true;
  let written = 1000;
  const writer = (async () => {
    while (writing)
      await db.query(
        `INSERT INTO t VALUES (${written++}, 'under way'); UPDATE t SET v = v || '.' WHERE id = 7`,
      );
  })();
  await using next = await manager();
  expect(next.output()).toContain('the replica is fetched');
  expect(next.output()).not.toContain('initial sync started');
  await old.exited;
  expect(old.output()).toContain('R006');
  writing = false;
  await writer;
  await db.query(`INSERT INTO t VALUES (${written}, 'the last')`);
  await equal(next, vs, 'the last');
  expect(replicaVersion(next)).toBe(version);
  const upstream = await db.query('SELECT id, v FROM t ORDER BY id');
  const replica = openReader(next.replicaFile);
  try {
    expect(replica.prepare('SELECT id, v FROM t ORDER BY id').all()).toEqual(upstream.rows);
  } finally {
    replica.close();
  }
  expect(vs.output().match(/the replica is fetched/g)?.length).toBe(1);
});

test('no connection is left where the change log can be asked and upstream cannot', async () => {
  await using db = await createDatabase();
  const config = testConfig(db, dir);
  const asking = recoverReplica({
    config: {...config, upstream: {...config.upstream, db: 'postgres://u@127.0.0.1:1/x'}},
    log: silentLog,
    ownAddress: null,
    signal: new AbortController().signal,
  });
  await expect(asking).rejects.toThrow(UpstreamUnreachable);
  await until(async () => (await connections(db, 'recover-replica')) === 0, 'the connection is closed');
});
