import {createServer} from 'node:net';
import {expect, test} from 'vitest';
import {deleteReplica, openReader} from '../../src/replica/open.ts';
import {type DaemonOptions, startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {freePort, startPostgres} from '../helpers/postgres-server.ts';

/** Starts a daemon that must fail. @returns its exit code and what it printed. */
const failed = async (options: Partial<DaemonOptions>) => {
  await using daemon = await startDaemon({
    upstream: 'postgres://u:hunter2@127.0.0.1:1/d',
    appID: 'bad_start',
    waitUntilReady: false,
    ...options,
  });
  const code = await daemon.exited;
  const output = daemon.output();
  expect(output).not.toContain('hunter2');
  // One report of the fault, not a stack trace.
  expect(output).not.toMatch(/\n\s+at .*\(/);
  expect(output.split('\n').filter(line => line.includes(' ERROR ')).length).toBeLessThanOrEqual(1);
  return {code, output};
};

test('an unknown option is named, with what was probably meant', async () => {
  const {code, output} = await failed({args: ['--upstream-bd', 'x']});
  expect(code).toBe(1);
  expect(output).toContain('--upstream-bd: unknown option; did you mean --upstream-db?');
});

test('an unreachable upstream is named by host and port, without its password', async () => {
  const port = await freePort();
  const {code, output} = await failed({
    upstream: `postgres://u:hunter2@127.0.0.1:${port}/d`,
    env: {ZERO_NUM_SYNC_WORKERS: '4'},
  });
  expect(code).not.toBe(0);
  expect(output).toContain(`127.0.0.1:${port}/d`);
  expect(output).toContain('nothing listens there');
});

test('a refused password is said to be one', async () => {
  await using db = await createDatabase();
  const url = new URL(db.url);
  url.password = 'hunter2';
  const {code, output} = await failed({upstream: url.href, appID: db.appID});
  expect(code).not.toBe(0);
  expect(output).toContain('the user or password is refused');
});

test('a server without logical replication is told the statement that mends it', async () => {
  const server = await startPostgres(['-c', 'wal_level=replica']);
  try {
    const {code, output} = await failed({upstream: server.url});
    expect(code).not.toBe(0);
    expect(output).toContain('ALTER SYSTEM SET wal_level = logical');
  } finally {
    await server.stop();
  }
});

test('a role that lacks privileges is told all of them', async () => {
  await using db = await createDatabase('CREATE TABLE t (id int PRIMARY KEY)');
  const role = `${db.name}_role`;
  await db.query(`CREATE ROLE ${role} LOGIN PASSWORD 'hunter2'`);
  try {
    const url = new URL(db.url);
    url.username = role;
    url.password = 'hunter2';
    const {code, output} = await failed({upstream: url.href, appID: db.appID});
    expect(code).not.toBe(0);
    for (const what of [
      `ALTER ROLE "${role}" REPLICATION;`,
      `GRANT CREATE ON DATABASE "${db.name}" TO "${role}";`,
    ])
      expect(output).toContain(what);
    await db.query(`ALTER ROLE ${role} REPLICATION; GRANT CREATE ON DATABASE "${db.name}" TO ${role}`);
    const granted = await failed({upstream: url.href, appID: db.appID});
    expect(granted.output).toMatch(
      /superuser run: CREATE PUBLICATION zero_tables FOR TABLES IN SCHEMA public; and set ZERO_APP_PUBLICATIONS/,
    );
    expect(granted.output).not.toContain('ALTER ROLE');
  } finally {
    await db.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
});

test('a publication that leaves out operations is told the statement that mends it', async () => {
  await using db = await createDatabase(
    `CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION half FOR TABLE t WITH (publish = 'insert')`,
  );
  const start = {upstream: db.url, appID: db.appID, env: {ZERO_APP_PUBLICATIONS: 'half'}};
  const {code, output} = await failed(start);
  expect(code).toBe(13);
  const [statement] = /ALTER PUBLICATION .*;/.exec(output) ?? [];
  await db.query(statement!);
  await using daemon = await startDaemon(start);
  expect((await fetch(`${daemon.url}/keepalive`)).status).toBe(200);
});

test('a change database that cannot be used is told before anything is copied', async () => {
  await using db = await createDatabase('CREATE TABLE t (id int PRIMARY KEY)');
  await using other = await createDatabase();
  const role = `${db.name}_role`;
  const url = new URL(other.url);
  url.username = role;
  url.password = 'hunter2';
  const attempt = () => failed({upstream: db.url, appID: db.appID, env: {ZERO_CHANGE_DB: url.href}});
  const unknown = await attempt();
  expect(unknown.code).toBe(13);
  expect(unknown.output).toContain(`/${other.name} (change-log): the user or password is refused`);
  await db.query(`CREATE ROLE ${role} LOGIN PASSWORD 'hunter2'`);
  try {
    const {code, output} = await attempt();
    expect(code).toBe(13);
    expect(output).toContain(`GRANT CREATE ON DATABASE "${other.name}" TO "${role}";`);
    expect(output).not.toContain('initial sync');
  } finally {
    await db.query(`DROP ROLE ${role}`);
  }
});

test('a replica file that another server has is left alone', async () => {
  await using db = await createDatabase('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
  await using first = await startDaemon({upstream: db.url, appID: db.appID});
  const {code, output} = await failed({
    upstream: db.url,
    appID: `${db.appID}_other`,
    env: {ZERO_REPLICA_FILE: first.replicaFile},
  });
  expect(code).toBe(13);
  expect(output).toContain(`Another server that runs keeps its replica in ${first.replicaFile}`);
  const replica = openReader(first.replicaFile);
  expect(replica.prepare('SELECT id FROM t').pluck().all()).toEqual([1]);
  replica.close();
  expect((await fetch(`${first.url}/keepalive`)).status).toBe(200);
  expect(
    (await db.query('SELECT slot_name FROM pg_replication_slots WHERE database = current_database()'))
      .rowCount,
  ).toBe(1);
});

test('a replica that is deleted while it is served ends the server with a reason', async () => {
  await using db = await createDatabase('CREATE TABLE t (id int PRIMARY KEY)');
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  deleteReplica(daemon.replicaFile);
  await db.query('INSERT INTO t VALUES (1)');
  expect(await daemon.exited).toBe(13);
  expect(daemon.output()).toContain(`code=R005 Cannot open the replica file ${daemon.replicaFile}`);
  expect(daemon.output()).not.toMatch(/\n\s+at .*\(/);
});

test('a port in use is said to be', async () => {
  await using db = await createDatabase();
  const squatter = createServer();
  await new Promise<void>(resolve => squatter.listen(0, resolve));
  try {
    const {port} = squatter.address() as {port: number};
    const {code, output} = await failed({upstream: db.url, appID: db.appID, port});
    expect(code).toBe(1);
    expect(output).toContain(`Port ${port} is in use`);
  } finally {
    squatter.close();
  }
});
