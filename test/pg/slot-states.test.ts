import pg from 'pg';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {lexi, unlexi} from '../../src/pg/lsn.ts';
import {slotHealth} from '../../src/pg/slot.ts';
import {type SlotState, slotState} from '../../src/pg/slot-state.ts';
import {readReplicaState} from '../../src/replica/sync-context.ts';
import {arrives, T} from '../helpers/arrives.ts';
import {testConfig} from '../helpers/config.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {type PostgresServer, startPostgres} from '../helpers/postgres-server.ts';
import {type Replicating, replicating} from '../helpers/replicating.ts';
import {startProxy} from '../helpers/tcp-proxy.ts';
import {until} from '../helpers/until.ts';

// A server of its own: its limits on WAL are tight, its segments small, and nothing else writes to it.
let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres(
    ['-c', 'checkpoint_timeout=1d', '-c', 'autovacuum=off', '-c', 'max_slot_wal_keep_size=8MB'],
    ['--wal-segsize=1'],
  );
});
afterAll(() => server.stop());

const slotOf = async (db: TestDatabase): Promise<string> =>
  (await db.query('SELECT slot_name FROM pg_replication_slots WHERE database = current_database()')).rows[0]
    .slot_name;

/** The verdict of the state machine on the server's own facts. */
const verdict = async (db: TestDatabase, replica: Replicating): Promise<SlotState> => {
  const {context, stateVersion} = replica.read(readReplicaState);
  const health = await slotHealth(db.pool, context.slot);
  const position = {...context, watermark: unlexi(stateVersion)};
  return slotState(health, position, {systemIdentifier: context.systemIdentifier, divergedAt: null});
};

const walStatus = async (db: TestDatabase): Promise<string> =>
  (await db.query('SELECT wal_status FROM pg_replication_slots WHERE database = current_database()')).rows[0]
    .wal_status;

/** Fills one WAL segment after the other until the slot has the status. */
const fillWalUntil = async (db: TestDatabase, status: string) => {
  for (let n = 0; n < 40 && (await walStatus(db)) !== status; n++)
    await db.query(`SELECT pg_logical_emit_message(false, 'filler', 'x'), pg_switch_wal()`);
  expect(await walStatus(db)).toBe(status);
};

const rebuilds = (replica: Replicating) => replica.events.filter(event => event.type === 'recovery');

test('a reserved slot goes on', async () => {
  await using db = await createDatabase(T, server.url);
  await using replica = await replicating(db);
  await replica.stop();
  expect(await walStatus(db)).toBe('reserved');
  expect(await verdict(db, replica)).toEqual({state: 'ready', danger: null});
  await replica.restart();
  await arrives(db, replica);
  expect(rebuilds(replica)).toEqual([]);
});

test('an extended slot goes on', async () => {
  await using db = await createDatabase(T, server.url);
  await using replica = await replicating(db);
  await replica.stop();
  await db.query(`ALTER SYSTEM SET max_wal_size = '2MB'`);
  await db.query('SELECT pg_reload_conf()');
  try {
    await fillWalUntil(db, 'extended');
    expect((await verdict(db, replica)).state).toBe('ready');
    await replica.restart();
    await arrives(db, replica);
    expect(rebuilds(replica)).toEqual([]);
  } finally {
    await db.query('ALTER SYSTEM RESET max_wal_size');
    await db.query('SELECT pg_reload_conf()');
  }
});

test('an unreserved slot goes on, with a warning', async () => {
  await using db = await createDatabase(T, server.url);
  await using replica = await replicating(db);
  await replica.stop();
  await fillWalUntil(db, 'unreserved');
  expect(await verdict(db, replica)).toMatchObject({
    state: 'ready',
    danger: expect.stringContaining('raise max_slot_wal_keep_size'),
  });
  await replica.restart();
  await arrives(db, replica);
  expect(replica.logged.join('\n')).toContain('raise max_slot_wal_keep_size');
  expect(rebuilds(replica)).toEqual([]);
});

test('a lost slot leads to a rebuild that says why', async () => {
  await using db = await createDatabase(T, server.url);
  await using replica = await replicating(db);
  await replica.stop();
  await fillWalUntil(db, 'unreserved');
  await db.query('CHECKPOINT');
  expect(await walStatus(db)).toBe('lost');
  expect(await verdict(db, replica)).toMatchObject({state: 'unusable', error: {code: 'R001'}});
  const before = await slotOf(db);
  await replica.restart();
  await arrives(db, replica);
  expect(rebuilds(replica)).toMatchObject([
    {code: 'R001', reason: expect.stringContaining('max_slot_wal_keep_size')},
  ]);
  await until(async () => (await slotOf(db)) !== before, 'the lost slot is dropped');
});

test('a slot that is lost while it is streamed from leads to a rebuild as well', async () => {
  await using db = await createDatabase(T, server.url);
  await using replica = await replicating(db);
  const slot = await slotOf(db);
  // As a failover to a server without the slot does it.
  await until(async () => {
    await db.query('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1', [
      slot,
    ]);
    return db.query('SELECT pg_drop_replication_slot($1)', [slot]).then(
      () => true,
      () => false,
    );
  }, 'the slot is dropped');
  await arrives(db, replica);
  expect(rebuilds(replica)).toMatchObject([
    {code: 'R001', reason: expect.stringMatching(/is missing|does not exist/)},
  ]);
});

test('a slot that is active elsewhere is taken', async () => {
  await using db = await createDatabase(T, server.url);
  await using replica = await replicating(db);
  await replica.stop();
  const other = new pg.Client({connectionString: db.url, replication: 'database'} as pg.ClientConfig);
  let ended = false;
  other.on('error', () => {});
  other.on('end', () => {
    ended = true;
  });
  await other.connect();
  other
    .query(
      `START_REPLICATION SLOT "${await slotOf(db)}" LOGICAL 0/0 (proto_version '1', publication_names '_${db.appID}_public_0')`,
    )
    .catch(() => {});
  await until(
    async () => (await slotHealth(db.pool, await slotOf(db))).activePid !== null,
    'the other one streams',
  );
  expect((await verdict(db, replica)).state).toBe('active');
  await replica.restart();
  await arrives(db, replica);
  await until(() => ended, 'the other stream has ended');
  expect(rebuilds(replica)).toEqual([]);
});

test('an initial sync warns of the WAL that it makes the server keep, and begins anew if that is given up', async () => {
  await using db = await createDatabase(
    `${T} INSERT INTO t (v) SELECT repeat('x', 3000) FROM generate_series(1, 8000)`,
    server.url,
  );
  await using proxy = await startProxy(db.url, {bytesPerSecond: 3_000_000});
  const {upstream, change, cvr} = testConfig(db, '/nowhere');
  const logged: string[] = [];
  const starting = replicating(db, {upstream: {...upstream, db: proxy.url}, change, cvr}, logged);
  starting.catch(() => {});
  const copying = async () =>
    (
      await db.query(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY (SELECT %'`,
      )
    ).rowCount !== 0;
  await until(copying, 'tables are copied', 20_000);
  await fillWalUntil(db, 'unreserved');
  await until(() => logged.some(line => line.includes('raise max_slot_wal_keep_size')), 'it warns', 10_000);
  await db.query('CHECKPOINT');
  await until(() => logged.some(line => line.includes('gave up the slot')), 'it is noticed', 10_000);
  // The second time may be quick.
  proxy.unlimit();
  await using replica = await starting;
  await arrives(db, replica);
  expect(rebuilds(replica)).toEqual([]);
  const slots = await db.query('SELECT 1 FROM pg_replication_slots WHERE database = current_database()');
  expect(slots.rowCount).toBe(1);
});

test('a publication that was dropped and created again leads to a rebuild', async () => {
  await using db = await createDatabase(T, server.url);
  await using replica = await replicating(db);
  await replica.stop();
  const name = `_${db.appID}_public_0`;
  await db.query(`DROP PUBLICATION ${name}`);
  await db.query(`INSERT INTO t (v) VALUES ('written while nothing was published')`);
  await db.query(
    `CREATE PUBLICATION ${name} FOR TABLES IN SCHEMA public WITH (publish_via_partition_root = true)`,
  );
  await replica.restart();
  await arrives(db, replica);
  expect(rebuilds(replica)).toMatchObject([
    {code: 'R010', reason: `The publication "${name}" was dropped and created again.`},
  ]);
});

test('with ZERO_UPSTREAM_PG_REPLICATION_SLOT_FAILOVER the slot is one that standbys keep', async () => {
  await using db = await createDatabase(T, server.url);
  const {upstream} = testConfig(db, '/nowhere');
  await using replica = await replicating(db, {upstream: {...upstream, pgReplicationSlotFailover: true}});
  await arrives(db, replica);
  const {rows} = await db.query(
    'SELECT failover FROM pg_replication_slots WHERE database = current_database()',
  );
  expect(rows).toEqual([{failover: true}]);
});

test('a transaction whose commit starts exactly at the consistent point is not lost', async () => {
  await using db = await createDatabase(T, server.url);
  await db.query(`CREATE SCHEMA "${db.appID}"`); // So that less is written later.
  let exact = false;
  for (let attempt = 0; attempt < 10 && !exact; attempt++) {
    const [one, two, three] = await Promise.all([0, 1, 2].map(() => db.pool.connect()));
    const open = async (client: pg.PoolClient, v: string) =>
      void (await client.query(`BEGIN; INSERT INTO t (v) VALUES ('${v}${attempt}')`));
    await open(one!, 'one');
    const starting = replicating(db, {app: {id: db.appID, publications: []}, taskID: `t${attempt}`});
    const waits = (n: number) =>
      until(
        async () =>
          (
            await db.query(
              `SELECT 1 FROM pg_stat_activity a WHERE a.datname = current_database() AND a.backend_type = 'walsender'
                 AND $1 = ANY (pg_blocking_pids(a.pid))`,
              [n],
            )
          ).rowCount === 1,
        'the creation of the slot waits',
      );
    const pid = async (client: pg.PoolClient) =>
      (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid as number;
    await waits(await pid(one!));
    await open(two!, 'two');
    const twoPid = await pid(two!);
    await one!.query('COMMIT');
    await waits(twoPid);
    await open(three!, 'three');
    // One after the other with nothing between: the second commit is the next record after the consistent point.
    await two!.query('COMMIT');
    await three!.query('COMMIT');
    for (const client of [one!, two!, three!]) client.release();
    await using replica = await starting;
    await arrives(db, replica);
    const [[version]] = replica.rows(`SELECT _0_version FROM t WHERE v = 'three${attempt}'`) as [[string]];
    exact = version === lexi(unlexi(replica.read(readReplicaState).replicaVersion) + 1n);
    expect(rebuilds(replica)).toEqual([]);
  }
  expect(exact, 'a commit met the consistent point').toBe(true);
});
