import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {afterEach, beforeEach, expect, test} from 'vitest';
import type {StartOptions, ZeroCache} from '../../src/start-zero-cache.ts';
import {deployAnyone} from '../e2e/permissions.ts';
import {ddl, schema, zql} from '../e2e/schema.ts';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {freePort} from '../helpers/postgres-server.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zs-lifecycle-'));
});
afterEach(() => rm(dir, {recursive: true, force: true}));

/** The library as an app imports it: the server's processes are started from its bundle. */
const library = async () =>
  (await import(pathToFileURL('dist/index.js').href)) as {
    startZeroCache: (options?: StartOptions) => Promise<ZeroCache>;
  };

const envOf = (db: TestDatabase, more: Record<string, string> = {}) => ({
  ZERO_UPSTREAM_DB: db.url,
  ZERO_APP_ID: db.appID,
  ZERO_REPLICA_FILE: join(dir, 'replica.db'),
  ZERO_NUM_SYNC_WORKERS: '1',
  ZERO_ADMIN_PASSWORD: 'x',
  ZERO_LOG_LEVEL: 'error',
  ...more,
});

test('a program starts a server, uses it and stops it', async () => {
  const {startZeroCache} = await library();
  await using db = await createDatabase(ddl);
  const cache = await startZeroCache({
    env: envOf(db, {ZERO_PORT: String(await freePort())}),
    host: '127.0.0.1',
  });
  try {
    await cache.ready;
    await deployAnyone(db, db.appID);
    await db.query(`INSERT INTO label VALUES ('l1', 'one')`);
    await using client = stockClient({schema, server: `http://127.0.0.1:${cache.port}`, storageKey: db.name});
    const labels = client.zero.materialize(zql.label);
    await until(() => (labels.data as unknown[]).length === 1, 'the client is in sync');
    expect(await cache.inspect()).toMatchObject({replicator: {state: 'streaming'}});
  } finally {
    await cache.stop();
  }
  expect(await cache.ended).toEqual({code: 0, reason: 'stopped'});
  await expect(fetch(`http://127.0.0.1:${cache.port}/`)).rejects.toThrow();
});

test('what a program gets wrong is thrown, and a signal aborts', async () => {
  const {startZeroCache} = await library();
  await expect(startZeroCache({env: {ZERO_PORT: 'abc'}})).rejects.toThrow(/ZERO_PORT.*\n.*ZERO_UPSTREAM_DB/s);
  await using db = await createDatabase(ddl);
  const abort = new AbortController();
  const port = String(await freePort());
  const cache = await startZeroCache({env: envOf(db, {ZERO_PORT: port}), signal: abort.signal});
  await expect(startZeroCache({env: envOf(db, {ZERO_PORT: port})})).rejects.toThrow(`Port ${port} is in use`);
  abort.abort();
  expect(await cache.ended).toMatchObject({code: 0});
});

test('a server that cannot go on says so to its program', async () => {
  const {startZeroCache} = await library();
  await using db = await createDatabase();
  const cache = await startZeroCache({
    env: {
      ...envOf(db, {ZERO_PORT: String(await freePort())}),
      ZERO_UPSTREAM_DB: 'postgres://u:p@127.0.0.1:1/d',
    },
  });
  await expect(cache.ready).rejects.toThrow('ended before it was ready');
  expect((await cache.ended).code).not.toBe(0);
});

test('a lazy server sleeps through health checks and wakes for the first client', async () => {
  await using db = await createDatabase(ddl);
  const connections = async () =>
    (
      await db.query(
        `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'zerostream-%'`,
      )
    ).rows[0].n as number;
  await using daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    dir,
    env: {ZERO_LAZY_STARTUP: 'true'},
  });
  expect((await fetch(`${daemon.url}/`)).status).toBe(200);
  expect(await (await fetch(`${daemon.url}/pipelines`)).json()).toMatchObject({replicator: null});
  expect(daemon.output()).toContain('waiting for the first client');
  expect(await connections()).toBe(0);
  await using client = stockClient({schema, server: daemon.url, storageKey: db.name});
  const tick = client.zero.materialize(zql.tick.one());
  await until(async () => (await connections()) > 0, 'it has connected to PostgreSQL');
  await until(
    async () => (await db.query(`SELECT 1 FROM pg_tables WHERE schemaname = $1`, [db.appID])).rowCount !== 0,
    'its tables are there',
  );
  await deployAnyone(db, db.appID);
  await until(() => tick.data !== undefined, 'the client is in sync');
  expect(client.complaints).toEqual([]);
});

test('a server whose health checks cease drains and ends with 0', async () => {
  await using db = await createDatabase(ddl);
  await using daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    dir,
    // Becoming ready asks /keepalive, which counts as the first check.
    env: {ZERO_KEEPALIVE_TIMEOUT_MS: '1500'},
  });
  expect(await daemon.exited).toBe(0);
  expect(daemon.output()).toContain('no /keepalive request came for 1500 ms');
});
