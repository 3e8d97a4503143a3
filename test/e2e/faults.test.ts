import {execFileSync} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import pg from 'pg';
import {afterAll, beforeAll, expect, test} from 'vitest';
import type {DaemonInspection} from '../../src/observe/inspection.ts';
import {renderText} from '../../src/observe/render-text.ts';
import {type Daemon, inspectionOf as inspect, startDaemon} from '../helpers/daemon.ts';
import {limitedRole} from '../helpers/limited-role.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {type PostgresServer, startPostgres} from '../helpers/postgres-server.ts';
import {smallDisk} from '../helpers/small-disk.ts';
import {startProxy} from '../helpers/tcp-proxy.ts';
import {until} from '../helpers/until.ts';

// Every kind of fault that replication knows is made to happen, and must be seen by whoever asks the server.

let server: PostgresServer;
/** What was measured: fault → ms from its happening until the inspector shows it. */
const shownAfterMs: Record<string, number> = {};
beforeAll(async () => {
  server = await startPostgres(
    ['-c', 'checkpoint_timeout=1d', '-c', 'autovacuum=off', '-c', 'max_slot_wal_keep_size=8MB'],
    ['--wal-segsize=1'],
  );
});
afterAll(async () => {
  await server.stop();
  console.info(`ms until a fault is shown: ${JSON.stringify(shownAfterMs)}`);
});

const TABLES = `CREATE TABLE t (id serial PRIMARY KEY, v text); CREATE TABLE keyless (v text);
  CREATE TABLE shapes (id int PRIMARY KEY, p point); INSERT INTO t (v) VALUES ('one')`;
/** Beyond what a fault itself takes to happen; on a machine that is busy with other tests. */
const PATIENCE_MS = 15_000;

/** Code, severity and words of what stands. */
const standing = async (daemon: Daemon) =>
  (await inspect(daemon)).replicator?.faults.map(
    ({code, severity, what}) => `${code} ${severity}: ${what}`,
  ) ?? [];

/** Waits until the inspector shows such a fault, standing or just over, which its happening has made. */
const shows = async (daemon: Daemon, name: string, pattern: RegExp, happen: () => Promise<unknown>) => {
  const startedMs = Date.now();
  await happen();
  const happenedMs = Date.now();
  let last: DaemonInspection | null = null;
  await until(
    async () => {
      last = await inspect(daemon);
      const {faults = [], pastFaults = []} = last.replicator ?? {};
      const fresh = [...faults, ...pastFaults].filter(({sinceMs}) => sinceMs >= startedMs);
      return fresh.some(({code, severity, what}) => pattern.test(`${code} ${severity}: ${what}`));
    },
    `${name} is shown`,
    PATIENCE_MS,
  ).catch(error => {
    throw new Error(`${(error as Error).message}; shown is ${JSON.stringify(last?.replicator?.faults)}`);
  });
  shownAfterMs[name] = Date.now() - happenedMs;
  return last!;
};

const over = (daemon: Daemon, pattern: RegExp) =>
  until(async () => !(await standing(daemon)).some(line => pattern.test(line)), `${pattern} is over`);

const streams = (daemon: Daemon) =>
  until(async () => (await inspect(daemon)).replicator?.state === 'streaming', 'it streams');

const lockLog = async (db: TestDatabase) => {
  const lock = await db.pool.connect();
  await lock.query(`BEGIN; LOCK TABLE "${db.appID}_0/cdc"."changeLog" IN ACCESS EXCLUSIVE MODE`);
  return async () => {
    await lock.query('ROLLBACK');
    lock.release();
  };
};

const slotOf = async (db: TestDatabase): Promise<{slot_name: string; wal_status: string}> =>
  (await db.query('SELECT * FROM pg_replication_slots WHERE database = current_database() AND NOT temporary'))
    .rows[0];

/** Writes a segment of WAL after the other until the slot has the status. */
const fillWalUntil = async (db: TestDatabase, status: string) => {
  for (let n = 0; n < 40 && (await slotOf(db)).wal_status !== status; n++)
    await db.query(`SELECT pg_logical_emit_message(false, 'filler', 'x'), pg_switch_wal()`);
};

const restartServer = async (db: TestDatabase, daemon: Daemon) => {
  await shows(
    daemon,
    'upstream unreachable',
    /^U001 fault: .*(Cannot connect|57P01|broke|closed|answer)/,
    () => server.server.crash(),
  );
  await server.server.start();
  await over(daemon, /^U001/);
  await db.query(`INSERT INTO t (v) VALUES ('after the restart')`);
};

test('faults of upstream, slot, stream, publication, schema and change log are shown, with code and what to do', async () => {
  await using db = await createDatabase(TABLES, server.url);
  await using proxy = await startProxy(db.url);
  await using daemon = await startDaemon({
    upstream: proxy.url,
    appID: db.appID,
    env: {ZERO_CHANGE_DB: db.url, ZERO_CVR_DB: db.url},
  });
  await streams(daemon);

  // Left out from the beginning, and later on.
  await until(async () => (await standing(daemon)).length > 0, 'what is left out is shown');
  const leftOut = (await standing(daemon)).join('\n');
  expect(leftOut).toMatch(/R014 warning: Column shapes\.p has type point/);
  expect(leftOut).toMatch(/R014 warning: Table keyless has neither a primary key/);
  await shows(daemon, 'left out', /^R014 warning: Column t\.place has type point/, () =>
    db.query('ALTER TABLE t ADD COLUMN place point'),
  );
  await db.query('ALTER TABLE t DROP COLUMN place');
  await over(daemon, /t\.place/);

  await restartServer(db, daemon);

  // A stream that is silent though the connection stands.
  await shows(
    daemon,
    'stalled stream',
    /^U001 warning: .*(though it was asked|does not answer within)/,
    async () => proxy.stall(),
  );
  proxy.cut();
  await over(daemon, /^U001/);

  // The change log's database, and WAL that piles up behind it, until the slot is lost.
  const unlock = await lockLog(db);
  await shows(daemon, 'change log stalled', /^R011 warning: Nothing could be written to the change log/, () =>
    db.query(`INSERT INTO t (v) VALUES ('unlogged')`),
  );
  const growing = await shows(daemon, 'WAL growing', /^R013 warning: .*raise max_slot_wal_keep_size/, () =>
    fillWalUntil(db, 'unreserved'),
  );
  expect(growing.replicator?.slot?.walStatus).toBe('unreserved');
  expect(renderText(growing, null, {sql: false})).toMatch(
    /WARNINGS\n(.*\n)* {2}! R013 for .*\n {4}→ Find what holds/,
  );
  const lost = await shows(daemon, 'slot lost', /^R001 fault/, () => db.query('CHECKPOINT'));
  expect(lost.replicator?.recoveries.at(-1)).toMatchObject({code: 'R001'});
  await unlock();
  await streams(daemon);
  await over(daemon, / fault:|^U|^R013/);

  await shows(daemon, 'slot missing', /^R001 fault: .*(is missing|does not exist)/, async () => {
    const {slot_name} = await slotOf(db);
    await until(async () => {
      await db.query(
        'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1',
        [slot_name],
      );
      return db.query('SELECT pg_drop_replication_slot($1)', [slot_name]).then(
        () => true,
        () => false,
      );
    }, 'the slot is dropped');
  });
  await over(daemon, /fault/);

  const name = `_${db.appID}_public_0`;
  const replaced = await shows(
    daemon,
    'publication changed',
    /^R010 fault: .*was dropped and created again/,
    async () => {
      await db.query(`BEGIN; DROP PUBLICATION ${name};
      CREATE PUBLICATION ${name} FOR TABLES IN SCHEMA public WITH (publish_via_partition_root = true); COMMIT`);
    },
  );
  expect(replaced.replicator?.recoveries.map(({code}) => code)).toEqual(['R001', 'R001', 'R010']);
  await over(daemon, /fault/);
  const {replicator} = await inspect(daemon);
  expect(replicator?.pastFaults.every(({sinceMs, untilMs}) => untilMs >= sinceMs)).toBe(true);
  expect(await (await fetch(`${daemon.url}/metrics`)).text()).toMatch(
    /zero_replication_faults\{[^}]*code="R014"[^}]*\} 3/,
  );
}, 180_000);

test('a slot that another session streams from, and may not be taken from it, is shown', async () => {
  await using db = await createDatabase(
    `${TABLES}; CREATE PUBLICATION everything FOR TABLES IN SCHEMA public`,
    server.url,
  );
  await using role = await limitedRole(db);
  await using daemon = await startDaemon({
    upstream: role.url,
    appID: db.appID,
    env: {ZERO_APP_PUBLICATIONS: 'everything', ZERO_CHANGE_DB: db.url, ZERO_CVR_DB: db.url},
  });
  await streams(daemon);
  const {slot_name} = await slotOf(db);
  const other = new pg.Client({connectionString: db.url, replication: 'database'} as pg.ClientConfig);
  other.on('error', () => {});
  await other.connect();
  await shows(
    daemon,
    'slot active elsewhere',
    /^R015 fault: Another session .*streams from the replication slot/,
    async () => {
      // As soon as ours is ended, the superuser's is there, if it is the faster one.
      await until(async () => {
        await db.query(
          'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1',
          [slot_name],
        );
        const streaming = other.query(
          `START_REPLICATION SLOT "${slot_name}" LOGICAL 0/0 (proto_version '1', publication_names 'everything')`,
        );
        return Promise.race([
          streaming.then(
            () => false,
            () => false,
          ),
          new Promise<boolean>(resolve => setTimeout(resolve, 300, true)),
        ]);
      }, 'the other one streams');
    },
  );
  other.connection.stream.destroy();
  await over(daemon, /^R015/);
  await streams(daemon);
});

test('a full disk is shown', async context => {
  const dir = await smallDisk(16);
  if (dir === null) return context.skip('mounting a small disk takes root');
  try {
    await using db = await createDatabase(TABLES, server.url);
    await using daemon = await startDaemon({
      upstream: db.url,
      appID: db.appID,
      env: {ZERO_REPLICA_FILE: join(dir, 'replica.db')},
    });
    await streams(daemon);
    writeFileSync(join(dir, 'ballast'), Buffer.alloc(12 * 1024 * 1024));
    await shows(daemon, 'disk full', /^R007 fault: .*disk that holds it is full/, () =>
      db.query(`INSERT INTO t (v) SELECT repeat('y', 100000) FROM generate_series(1, 60)`),
    );
    await rm(join(dir, 'ballast'));
    execFileSync('mount', ['-o', 'remount,size=200m', dir]);
    await over(daemon, /^R007/);
  } finally {
    execFileSync('umount', ['-l', dir]);
    await rm(dir, {recursive: true, force: true});
  }
}, 90_000);
