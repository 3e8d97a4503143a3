import {expect, test} from 'vitest';
import type {DaemonInspection} from '../../src/observe/inspection.ts';
import {openReader} from '../../src/replica/open.ts';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {until} from '../helpers/until.ts';

const MB = 1024 * 1024;

const inspect = async (daemon: Daemon): Promise<DaemonInspection> =>
  (await (await fetch(`${daemon.url}/pipelines`)).json()) as DaemonInspection;

interface Use {
  readonly rssBytes: number;
  /** Bytes that wait for the change log. */
  readonly waiting: number;
}

const use = async (daemon: Daemon): Promise<Use> => {
  const {processes, replicator} = await inspect(daemon);
  return {
    rssBytes: processes.find(({name}) => name === 'replicator')?.rssBytes ?? 0,
    waiting: replicator?.stages.find(({name}) => name === 'replication.tee')?.bytesInFlight ?? 0,
  };
};

/** Watches the replicator's memory until `done`. */
const peakUntil = async (daemon: Daemon, done: (now: Use) => boolean | Promise<boolean>, what: string) => {
  const peak = {rssBytes: 0, waiting: 0};
  await until(
    async () => {
      const now = await use(daemon);
      peak.rssBytes = Math.max(peak.rssBytes, now.rssBytes);
      peak.waiting = Math.max(peak.waiting, now.waiting);
      return done(now);
    },
    what,
    120_000,
  );
  return peak;
};

const replicated = (daemon: Daemon, sql: string): number => {
  const replica = openReader(daemon.replicaFile);
  try {
    return replica.prepare(sql).pluck().get() as number;
  } finally {
    replica.close();
  }
};

test('memory is bounded by its limits and not by the transaction, the rows or a stalled change log', async () => {
  await using db = await createDatabase(`
    CREATE TABLE wide (id int PRIMARY KEY, v text);
    CREATE TABLE many (id int PRIMARY KEY, n int NOT NULL, v text);
    INSERT INTO many SELECT i, 0, md5(i::text) FROM generate_series(1, 50000) i`);
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  const idle = await use(daemon);

  // One transaction of many rows.
  await db.query('UPDATE many SET n = n + 1');
  const transaction = await peakUntil(
    daemon,
    () => replicated(daemon, 'SELECT count(*) FROM many WHERE n = 1') === 50_000,
    'all rows are updated',
  );
  expect(transaction.rssBytes - idle.rssBytes).toBeLessThan(150 * MB);

  // Rows of 1 MB, while the change log cannot be written: 100 MB in all, of which only so much is taken in.
  const lock = await db.pool.connect();
  await lock.query(`BEGIN; LOCK TABLE "${db.appID}_0/cdc"."changeLog" IN ACCESS EXCLUSIVE MODE`);
  await db.query(`INSERT INTO wide SELECT i, repeat(md5(i::text), 32768) FROM generate_series(1, 100) i`);
  let last = -1;
  let still = 0;
  const stalled = await peakUntil(
    daemon,
    ({waiting}) => {
      still = waiting > 0 && waiting === last ? still + 1 : 0;
      last = waiting;
      return still >= 20;
    },
    'the source is paused',
  );
  expect(stalled.waiting).toBeGreaterThan(8 * MB);
  expect(stalled.waiting).toBeLessThan(32 * MB);
  expect(stalled.rssBytes - idle.rssBytes).toBeLessThan(200 * MB);
  await lock.query('ROLLBACK');
  lock.release();
  const drained = await peakUntil(
    daemon,
    () => replicated(daemon, 'SELECT count(*) FROM wide') === 100,
    'all rows arrive',
  );
  expect(drained.rssBytes - idle.rssBytes).toBeLessThan(250 * MB);
}, 300_000);
