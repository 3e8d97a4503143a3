import {existsSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {EMPTY_SCHEMA, rawClient} from '../helpers/raw-client.ts';
import {until} from '../helpers/until.ts';

// Effects of options that no other test needs.

const DDL = 'CREATE TABLE t (id text PRIMARY KEY)';

test('logs as JSON, compression, CRUD switched off, a version of its own', async () => {
  await using db = await createDatabase(DDL);
  await using daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {
      ZERO_LOG_FORMAT: 'json',
      ZERO_WEBSOCKET_COMPRESSION: 'true',
      ZERO_WEBSOCKET_COMPRESSION_OPTIONS: '{"serverNoContextTakeover": true}',
      ZERO_ENABLE_CRUD_MUTATIONS: 'false',
      ZERO_SERVER_VERSION: 'build-7',
      ZERO_TASK_ID: 'task-7',
    },
  });
  using client = rawClient({server: daemon.url, init: {clientSchema: EMPTY_SCHEMA, desiredQueriesPatch: []}});
  let negotiated: string | undefined;
  client.socket.once('upgrade', ({headers}) => (negotiated = headers['sec-websocket-extensions']));
  await client.next('connected');
  expect(negotiated).toContain('permessage-deflate; server_no_context_takeover');
  client.crud(1, [{op: 'insert', tableName: 't', primaryKey: ['id'], value: {id: 'a'}}]);
  await until(() => client.errors.length > 0, 'the push is refused');
  expect(client.errors).toMatchObject([{kind: 'InvalidPush'}]);
  expect((await db.query('SELECT * FROM t')).rows).toEqual([]);

  const lines = daemon
    .output()
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>);
  expect(lines[0]).toMatchObject({
    level: 'INFO',
    worker: 'dispatcher',
    version: 'build-7',
    taskID: 'task-7',
    message: 'zerostream starts',
  });
  for (const line of lines)
    expect(line).toMatchObject({message: expect.any(String), pid: expect.any(Number)});
});

test('with auto reset off, a server whose slot is gone stops and keeps its replica', async () => {
  await using db = await createDatabase(DDL);
  const dir = await mkdtemp(join(tmpdir(), 'zs-options-'));
  try {
    const first = await startDaemon({upstream: db.url, appID: db.appID, dir});
    expect(await first.stop()).toBe(0);
    const {rows} = await db.query(
      'SELECT slot_name FROM pg_replication_slots WHERE database = current_database()',
    );
    await db.query('SELECT pg_drop_replication_slot($1)', [rows[0].slot_name]);
    await using second = await startDaemon({
      upstream: db.url,
      appID: db.appID,
      dir,
      env: {ZERO_AUTO_RESET: 'false'},
      waitUntilReady: false,
    });
    expect(await second.exited).toBe(13);
    expect(second.output()).toMatch(/code=R001 The replication slot .* is missing/);
    expect(second.output()).toContain('ZERO_AUTO_RESET');
    expect(second.output()).not.toContain('is rebuilt');
    expect(existsSync(second.replicaFile)).toBe(true);
  } finally {
    await rm(dir, {recursive: true, force: true});
  }
});
