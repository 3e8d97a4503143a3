import {execFileSync} from 'node:child_process';
import {existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync} from 'node:fs';
import {createServer, type Server} from 'node:net';
import {dirname, join} from 'node:path';
import pg from 'pg';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {WebSocket} from 'ws';
import {openDevFolder} from '../../src/demo/dev-folder.ts';
import {preparePostgres} from '../../src/demo/prepare-postgres.ts';
import {createSay} from '../../src/demo/say.ts';
import {type DevMode, startDevMode, temporaryFolder} from '../helpers/dev-mode.ts';
import {freePort} from '../helpers/postgres-server.ts';
import {smallDisk} from '../helpers/small-disk.ts';
import {until} from '../helpers/until.ts';

const SCHEMA = `
  -- Zähler: a character of two bytes before the fault
  CREATE TABLE animal (id int PRIMARY KEY, name text);
  INSERT INTO animal VALUES (1, 'owl');
`;

/** A listener on a port, as any other program. */
const occupy = (port = 0): Promise<Server & {readonly port: number}> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address() as {port: number};
      resolve(Object.assign(server, {port: address.port}));
    });
  });

const animals = async (dev: DevMode): Promise<number> => {
  const client = new pg.Client(dev.connectionString());
  await client.connect();
  try {
    return Number((await client.query('SELECT count(*) AS n FROM animal')).rows[0].n);
  } finally {
    await client.end();
  }
};

const postgresIsGone = (url: string) =>
  until(async () => {
    const client = new pg.Client(url);
    client.on('error', () => {});
    const refused = await client.connect().then(
      () => false,
      (error: {code?: string}) => error.code === 'ECONNREFUSED',
    );
    await client.end().catch(() => {});
    return refused;
  }, 'PostgreSQL is gone');

/** One folder, through all that can happen to it. */
describe('a folder of development mode', {timeout: 180_000}, () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let sql: string;
  let dev: DevMode | null = null;
  beforeAll(async () => {
    folder = await temporaryFolder();
    sql = join(folder.path, 'schema.sql');
  });
  afterAll(async () => {
    await dev?.[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });
  const start = async (args: readonly string[] = []) => {
    dev = await startDevMode({cwd: folder.path, args});
    return dev;
  };
  /** Starts what is meant to fail. */
  const refused = async (args: readonly string[] = [], port?: number) => {
    const failed = await startDevMode({
      cwd: folder.path,
      args,
      waitUntilReady: false,
      ...(port === undefined ? {} : {port}),
    });
    expect(await failed.exited).toBe(1);
    return failed.output();
  };

  test('a port in use is told before anything is made', async () => {
    const other = await occupy();
    expect(await refused([], other.port)).toContain(`Port ${other.port} is in use by another program`);
    other.close();
    expect(existsSync(join(folder.path, '.zero'))).toBe(false);
  });

  test.skipIf(process.getuid?.() === 0)('a port that takes privileges is told', async () => {
    expect(await refused([], 80)).toContain('You may not listen on port 80 (EACCES). Choose one above 1023');
  });

  test('a faulty schema file is told with its line', async () => {
    expect(await refused(['--sql', 'none.sql'])).toContain('There is no file');
    writeFileSync(sql, 'CREATE TABLE a (id int);\nCOPY a (id) FROM stdin;\n1\n\\.\n');
    expect(await refused(['--sql', sql])).toMatch(/schema\.sql, line 2: COPY … FROM stdin .* --inserts/);
    writeFileSync(sql, `${SCHEMA}\nCREATE TABEL b ();`);
    expect(await refused(['--sql', sql])).toMatch(/schema\.sql, line 6: syntax error at or near "TABEL"/);
    writeFileSync(sql, `${SCHEMA}\nINSERT INTO animal VALUES (1, 'cat');`);
    expect(await refused(['--sql', sql])).toContain('Key (id)=(1) already exists.');
  });

  test('the mended file makes the database; permissions are said to be for trying out', async () => {
    writeFileSync(sql, SCHEMA);
    const {output, connectionString, port} = await start(['--sql', sql]);
    expect(output()).toContain(`filled with what ${sql} makes`);
    expect(output()).toContain('anyone may read and write everything');
    expect(await animals(dev!)).toBe(1);
    // Only this machine reaches it.
    expect(connectionString()).toContain('@127.0.0.1:');
    const facts = (await (await fetch(`http://127.0.0.1:${port}/demo/facts.json`)).json()) as {
      tables: object[];
    };
    expect(facts.tables).toMatchObject([{name: 'animal', key: ['id']}]);
  });

  test('a second one in the folder is told of the first', async () => {
    expect(await refused()).toContain('Another zerostream already runs in this folder');
  });

  test('a page of another site is not let in', async () => {
    const open = (origin: string) =>
      new Promise<number | string>(resolve => {
        const socket = new WebSocket(`ws://127.0.0.1:${dev!.port}/sync/v51/connect`, {origin});
        socket.once('unexpected-response', (_, response) => resolve(response.statusCode ?? 0));
        socket.once('error', error => resolve(error.message));
        socket.once('open', () => {
          socket.close();
          resolve('open');
        });
      });
    for (const origin of ['https://elsewhere.example', 'https://localhost.elsewhere.example', 'null'])
      expect(await open(origin)).toBe(403);
    expect(await open('http://localhost:5173')).toBe('open');
  });

  test('psql connects as an owner who is no superuser', async () => {
    const client = new pg.Client(dev!.connectionString());
    await client.connect();
    expect((await client.query('SHOW is_superuser')).rows).toEqual([{is_superuser: 'off'}]);
    await client.query('CREATE TABLE later (id int PRIMARY KEY)');
    await client.end();
  });

  test('killed, it leaves no PostgreSQL behind; what was left in the folder does not matter', async () => {
    const url = dev!.connectionString();
    await dev!.stop('SIGKILL');
    await postgresIsGone(url);
    const zero = join(folder.path, '.zero');
    // An initdb that was cut off, and a pid that was given out again.
    mkdirSync(join(zero, 'pg.new-1', 'base'), {recursive: true});
    writeFileSync(join(zero, 'pg', 'postmaster.pid'), `${process.pid}\n${join(zero, 'pg')}\n`);
    const port = Number(new URL(url).port);
    const other = await occupy(port);
    await start();
    expect(dev!.output()).toContain(`Port ${port}, where it was before, is in use`);
    expect(dev!.connectionString()).not.toBe(url);
    expect(await animals(dev!)).toBe(1);
    other.close();
    expect((await readFacts(dev!)).tables.map(({name}) => name)).toEqual(['animal', 'later']);
  });

  test('permissions follow a new table, until somebody deploys their own', async () => {
    const client = await superuser(dev!, folder.path);
    const deployed = async () =>
      (await client.query<{permissions: {tables: object}}>('SELECT permissions FROM zero.permissions'))
        .rows[0]!.permissions.tables;
    expect(Object.keys(await deployed()).sort()).toEqual(['animal', 'later']);
    await client.query(`UPDATE zero.permissions SET permissions = '{"tables": {}}'`);
    await client.query('CREATE TABLE later_still (id int PRIMARY KEY)');
    expect(await deployed()).toEqual({});
    await client.end();
  });

  test('the port is kept across starts', async () => {
    const url = dev!.connectionString();
    expect(await dev!.stop('SIGTERM')).toBe(0);
    await start();
    expect(dev!.connectionString()).toBe(url);
    expect(dev!.output()).toContain('permissions: those that were deployed');
  });

  test('ports of PostgreSQL and of other nodes that are in use are said, and it starts all the same', async () => {
    const before = Number(new URL(dev!.connectionString()).port);
    expect(await dev!.stop('SIGTERM')).toBe(0);
    const port = await freePort(1);
    const others = [await occupy(before), await occupy(port + 1)];
    try {
      dev = await startDevMode({cwd: folder.path, port});
      expect(dev.output()).toContain(`Port ${before}, where it was before, is in use by another program`);
      expect(dev.output()).toContain(`Port ${port + 1}, on which other nodes fetch changes, is in use`);
      expect(await animals(dev)).toBe(1);
      const page = await fetch(dev.url);
      expect(page.status).toBe(200);
    } finally {
      for (const other of others) other.close();
    }
  });

  test('a PostgreSQL that an earlier run left running is ended', async () => {
    await dev!.stop('SIGINT');
    const silent = createSay(null);
    const left = await preparePostgres(await openDevFolder(folder.path), silent, undefined);
    await start();
    expect(dev!.output()).toMatch(/A PostgreSQL left by an earlier run \(process \d+\) was ended/);
    await left.server.exited;
    expect(await animals(dev!)).toBe(1);
  });

  test('a changed file is told of, another one is refused, and --reset takes it', async () => {
    await dev!.stop();
    writeFileSync(sql, `${SCHEMA}INSERT INTO animal VALUES (2, 'cat');`);
    await start(['--sql', sql]);
    expect(dev!.output()).toContain('has changed since the database was made from it');
    expect(await animals(dev!)).toBe(1);
    await dev!.stop();
    const other = join(folder.path, 'other.sql');
    writeFileSync(other, 'CREATE TABLE animal (id int PRIMARY KEY);');
    expect(await refused(['--sql', other])).toMatch(/holds a database made from .*schema\.sql\. Add --reset/);
    await start(['--sql', other, '--reset']);
    expect(await animals(dev!)).toBe(0);
  });

  test('data that is half deleted is set aside, and the demonstration made', async () => {
    await dev!.stop();
    const zero = join(folder.path, '.zero');
    rmSync(join(zero, 'pg', 'global', 'pg_control'));
    rmSync(join(zero, 'lock.db'));
    await start();
    expect(dev!.output()).toMatch(
      /cannot be used: global\/pg_control is missing\.\n.*is kept as .*pg\.broken/,
    );
    expect(dev!.output()).toContain('filled with an issue tracker');
    expect(readFileSync(join(zero, '.gitignore'), 'utf8')).toBe('*\n');
    expect((await readFacts(dev!)).tables).toHaveLength(6);
  });

  test('when PostgreSQL ends by itself, all ends, and says why', async () => {
    const pid = Number.parseInt(readFileSync(join(folder.path, '.zero', 'pg', 'postmaster.pid'), 'utf8'), 10);
    process.kill(pid, 'SIGINT');
    expect(await dev!.exited).toBe(1);
    expect(dev!.output()).toContain('PostgreSQL ended by itself');
  });

  test('data that PostgreSQL starts on but cannot read is told, with how to begin anew', async () => {
    const base = join(folder.path, '.zero', 'pg', 'base');
    for (const name of readdirSync(base)) rmSync(join(base, name), {recursive: true});
    expect(await refused()).toMatch(
      /cannot start:\n {2}PostgreSQL starts, but nobody gets in: .*\. Begin anew with zerostream dev --reset\.\n$/,
    );
  });
});

test('Ctrl-C while PostgreSQL is being made leaves nothing of it', {timeout: 60_000}, async () => {
  await using folder = await temporaryFolder();
  const zero = join(folder.path, '.zero');
  const dev = await startDevMode({cwd: folder.path, waitUntilReady: false});
  const unfinished = () => {
    if (!existsSync(zero)) return [];
    const places = readdirSync(zero);
    // As root in a private folder, data is elsewhere and linked to.
    const linked = places.includes('pg') ? readdirSync(dirname(readlinkSync(join(zero, 'pg')))) : [];
    return [...places, ...linked].filter(name => name.startsWith('pg.'));
  };
  await until(() => unfinished().some(name => name.startsWith('pg.new')), 'initdb is at it');
  expect(await dev.stop('SIGINT')).toBe(130);
  expect(dev.output()).toMatch(/Stopped before it was ready; nothing runs any more\.\n$/);
  expect(unfinished()).toEqual([]);
});

test('a disk without room for PostgreSQL is told in a line', {timeout: 60_000}, async context => {
  const disk = await smallDisk(20);
  if (!disk) return context.skip();
  try {
    const dev = await startDevMode({cwd: disk, waitUntilReady: false});
    expect(await dev.exited).toBe(1);
    expect(dev.output()).toMatch(
      /cannot start:\n {2}PostgreSQL's data could not be made in .*: could not .*\. Check free disk space\.\n$/,
    );
    expect(readdirSync(join(disk, '.zero')).sort()).toEqual(['.gitignore', 'lock.db']);
  } finally {
    execFileSync('umount', [disk]);
    rmSync(disk, {recursive: true});
  }
});

const readFacts = async ({port}: DevMode) =>
  (await (await fetch(`http://127.0.0.1:${port}/demo/facts.json`)).json()) as {tables: {name: string}[]};

/** With the password that development mode keeps beside the data. */
const superuser = async (dev: DevMode, folder: string): Promise<pg.Client> => {
  const {password} = JSON.parse(readFileSync(join(folder, '.zero', 'pg', 'zerostream.json'), 'utf8')) as {
    password: string;
  };
  const url = new URL(dev.connectionString());
  url.username = 'postgres';
  url.password = password;
  const client = new pg.Client(url.href);
  await client.connect();
  return client;
};
