import {execSync} from 'node:child_process';
import {copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import pg from 'pg';
import {afterAll, beforeAll, describe, expect, inject, test} from 'vitest';
import {schema, zql} from '../../fixtures/demo-page/schema.ts';
import {isFree} from '../../src/demo/free-port.ts';
import {temporaryFolder} from '../helpers/dev-mode.ts';
import {compile, makeClone, makeConsumer} from '../helpers/newcomer.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {freePort} from '../helpers/postgres-server.ts';
import {readmeBlocks} from '../helpers/readme.ts';
import {type Job, startJob} from '../helpers/shell.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';
import {blocksOf, commandsOf} from './blocks.ts';

const PAGES = ['README.md', 'fixtures/README.md', 'test/bench/README.md'];

/** Commands that nobody runs here, and why. A command of the pages that is neither here nor run below fails a test. */
const NOT_RUN: Readonly<Record<string, string>> = {
  'npm ci && npm test': 'this is it: the test run itself begins with it',
  'npm run check': 'runs before the tests in .ci/run',
  'npm run fuzz -- --minutes 30': 'the same cases run in test/oracle, fewer of them',
  'npm run chaos -- --minutes 10': 'takes ten minutes',
  'npm run bench': 'takes 40 minutes',
  'npm run bench -- queries T3': 'a bench of some minutes; its parts are the same',
  'npm run bench -- --ours-only --scale 0.05 --rounds 1': 'a bench of some minutes',
  'npm run bench -- T10 --ours-only --profile': 'a bench of some minutes',
  'npm run bench -- load --scale 0.1': 'a bench of some minutes',
  'npm run bench -- bootstrap --nodes 8': 'a bench of a minute',
  'npm run bench -- data postgres://…': 'loads 900,000 rows',
};

const covered = new Set<string>();
/** Names a command that a test runs; it must be in a page as it is given here. */
const command = (text: string): string => {
  covered.add(text);
  return text;
};

const START = command('npm ci && npm start');
const SERVE = command('npx zerostream inspect-pipeline --serve');
const OWN_SCHEMA = command('npx zerostream dev --reset --sql my-schema.sql');
const RESET = command('npx zerostream dev --reset');
const RECORD = command(
  'npx zerostream fixture-replay record --server http://localhost:4848 --redact --seconds 60 --out fixtures/wal/my-case',
);
const RECORD_RAW = command(
  'npx fixture-replay record --server http://localhost:4848 --out fixtures/wal/my-server',
);
const RECORD_TALK = command(
  'npx fixture-replay record --server http://localhost:4848 --reconnect-clients --out fixtures/wal/talk',
);
const REPLAY_TALK = command('npx fixture-replay --postgres postgres://… fixtures/wal/talk');
const RECORD_UPSTREAM = command(
  'npx fixture-replay record --upstream postgres://… --publication my_publication --out fixtures/wal/my-database',
);
const PRODUCTION = command(`export ZERO_UPSTREAM_DB='postgres://user:password@host:5432/database'
export ZERO_ADMIN_PASSWORD='choose one'
npx zerostream`);

/** What ends by itself beside a running server, and what it says. */
const LOOKS: readonly (readonly [string, string | RegExp])[] = [
  [command('npx zerostream inspect-pipeline'), /▶ replication\.apply/],
  [command('npx zerostream inspect-pipeline --html look.html'), ''],
  [command('npx zerostream inspect-pipeline --mermaid'), 'flowchart LR'],
  [command('npx zerostream inspect-pipeline --json'), '"replicator"'],
  [
    command('npx zerostream inspect-pipeline --ast query.json --replica zero.db'),
    /^3 rows synced \(issue 3\)/,
  ],
  [command('npx zerostream fixture-replay record --help'), '--redact'],
  [command('npm run bench -- --help'), '--scale'],
  [command('npx zerostream fixture-replay'), /as expected/],
  [command('npx fixture-replay'), /as expected/],
  [command('npx fixture-replay fixtures/wal/toast-pg18'), /as expected/],
  [command('npx fixture-replay --diff fixtures/wal/toast-pg18'), /as expected/],
  [command('npx fixture-replay --bless fixtures/wal/toast-pg18'), /as expected/],
  [command('npx fixture-replay --step fixtures/wal/toast-pg18'), /update|insert/],
  [command('npx fixture-replay --until 0/15A3B40 fixtures/wal/toast-pg18'), /stopped/],
  [command('npx fixture-replay --keep look.db fixtures/wal/toast-pg18'), /as expected/],
];
const WATCH = command('npx zerostream inspect-pipeline --watch');
const STEP_OWN = command('npx zerostream fixture-replay --step fixtures/wal/my-case');
const REDACT = command('npx fixture-replay redact fixtures/wal/my-server fixtures/wal/my-server-redacted');

test('every command of the pages is run below, or left out with a reason', () => {
  const written = new Set(PAGES.flatMap(commandsOf));
  const known = new Set([...covered, ...Object.keys(NOT_RUN)]);
  expect([...written].filter(text => !known.has(text))).toEqual([]);
  expect([...known].filter(text => !written.has(text))).toEqual([]);
});

test('what the image leaves out of node_modules is none of what the server needs', () => {
  const [dockerfile = ''] = readmeBlocks('Deploy', 'dockerfile');
  const [prune = ''] = /npm prune[^&]*/.exec(dockerfile) ?? [];
  const removed = execSync(`${prune} --dry-run`, {encoding: 'utf8'});
  expect(removed).toMatch(/^remove vitest /m);
  expect(removed).not.toMatch(/^remove (better-sqlite3|better-sqlite3-13|pg|ws|rxjs) /m);
});

/** In a clone, in the order of the page. The port moves only where the machine's 4848 is in use. */
describe('a newcomer in a clone', {timeout: 120_000}, () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let clone: string;
  let port = 4848;
  let server: Job;

  beforeAll(async () => {
    folder = await temporaryFolder();
    clone = join(folder.path, 'zerostream');
    makeClone(clone);
    writeFileSync(join(clone, 'my-schema.sql'), 'CREATE TABLE animal (id int PRIMARY KEY, name text);');
    writeFileSync(
      join(clone, 'query.json'),
      JSON.stringify({table: 'issue', orderBy: [['num', 'asc']], limit: 3}),
    );
    if (!(await isFree(4848)) || !(await isFree(4849))) port = await freePort(1);
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  /** Of npx: its own, since it links this folder into its cache. */
  const environment = () => ({
    npm_config_cache: join(folder.path, 'npm'),
    ...(port === 4848 ? {} : {ZERO_PORT: String(port)}),
  });
  const start = (text: string) =>
    startJob(text.replaceAll('localhost:4848', `localhost:${port}`), clone, environment());
  /** Development mode takes its port as an option: with a variable set it would not be chosen by itself. */
  const startDev = (text: string) =>
    startJob(port === 4848 ? text : `${text} --port ${port}`, clone, {
      npm_config_cache: environment().npm_config_cache,
    });
  const readyDev = async (job: Job) => {
    await job.says('Ctrl-C stops all of it');
    const page = await fetch(`http://localhost:${port}/`);
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('zerostream');
  };
  const endDev = async (job: Job) => {
    await job.ctrlC();
    expect(job.output()).toContain('All has ended, PostgreSQL too');
    expect(await isFree(port)).toBe(true);
  };

  test(`${START} serves the demonstration`, async () => {
    // What `npm ci` leaves is there: node_modules, and dist from `prepare`.
    const text = START.replace('npm ci && ', '');
    server = startDev(port === 4848 ? text : `${text} -- dev`);
    await readyDev(server);
    copyFileSync(join(clone, '.zero', 'replica.db'), join(clone, 'zero.db'));
  });

  test(`${SERVE} serves the page until Ctrl-C`, async () => {
    await using job = start(SERVE);
    await job.says('Ctrl-C ends');
    const url = /: (http:\/\/127\.0\.0\.1:\d+\/)/.exec(job.output())![1]!;
    expect(await (await fetch(url)).text()).toContain('From the slot to the poke');
    await job.ctrlC();
    await expect(fetch(url)).rejects.toThrow();
  });

  test(`${WATCH} goes on until Ctrl-C`, async () => {
    await using job = start(WATCH);
    await job.says(/replication\.apply[^\n]*\/s in/);
    await job.ctrlC();
  });

  describe.concurrent('what ends by itself', () => {
    test.each(LOOKS)('%s', async (text, says) => {
      await using job = start(text);
      expect(await job.ended, job.output()).toBe(0);
      expect(job.output()).toMatch(says);
    });
  });

  const databaseUrl = () => /postgres:\/\/demo:\S+/.exec(server.output())![0];
  const connect = async () => {
    const client = new pg.Client(databaseUrl());
    await client.connect();
    return client;
  };
  const caughtUp = (client: pg.Client) =>
    until(async () => {
      const {rows} = await client.query(
        `SELECT bool_and(confirmed_flush_lsn >= $1) AS past FROM pg_replication_slots WHERE slot_name LIKE 'zero_0%'`,
        [(await client.query('SELECT pg_current_wal_lsn() AS lsn')).rows[0].lsn],
      );
      return rows[0].past;
    }, 'the server has the change');

  test(`${RECORD}, ended earlier, is a recording to step through`, async () => {
    const client = await connect();
    {
      await using redacted = start(RECORD);
      await using raw = start(RECORD_RAW);
      for (const job of [redacted, raw]) await job.says('recording; Ctrl-C ends it');
      await client.query(`UPDATE issue SET title = 'A title to be replaced', updated = now() WHERE num < 4`);
      await caughtUp(client);
      for (const job of [redacted, raw]) {
        await job.ctrlC();
        expect(job.output()).toContain('since it was asked to: 1 transaction,');
      }
    }
    await client.end();
    const frames = readFileSync(join(clone, 'fixtures/wal/my-case/wal.ndjson'), 'utf8');
    const held = frames
      .trimEnd()
      .split('\n')
      .map(line => Buffer.from((JSON.parse(line) as {frame: string}).frame, 'base64').toString('latin1'));
    expect(held.join('')).not.toContain('A title to be replaced');
    for (const [text, says] of [
      [STEP_OWN, /3 updates? |update.*3|3 update/],
      [REDACT, /as expected|blessed/],
    ] as const) {
      await using job = start(text);
      expect(await job.ended, job.output()).toBe(0);
      expect(job.output()).toMatch(says);
    }
  });

  test(`${RECORD_TALK} is a recording to talk through again`, async () => {
    const client = await connect();
    await using app = stockClient({schema, server: `http://localhost:${port}`});
    const view = app.zero.materialize(zql.issue.where('num', '<', 4)) as {data: readonly {title: string}[]};
    await until(() => view.data.length === 3, 'the client is served');
    {
      await using job = start(RECORD_TALK);
      await job.says('recording; Ctrl-C ends it');
      await client.query(`UPDATE issue SET title = 'A title that is told', updated = now() WHERE num < 4`);
      await until(() => view.data.every(({title}) => title === 'A title that is told'), 'the client is told');
      await caughtUp(client);
      await job.ctrlC();
      expect(job.output()).toMatch(/[1-9]\d* messages? to clients/);
    }
    await client.end();
    await using replay = start(REPLAY_TALK.replace('postgres://…', `'${inject('postgresUrl')}'`));
    expect(await replay.ended, replay.output()).toBe(0);
    expect(replay.output()).toMatch(/[1-9]\d* messages? to clients/);
  });

  test('Ctrl-C ends the demonstration; your own tables, and the issue tracker again, take its place', async () => {
    await endDev(server);
    for (const [text, table] of [
      [OWN_SCHEMA, 'animal'],
      [RESET, 'issue'],
    ] as const) {
      server = startDev(text);
      await readyDev(server);
      const facts = await (await fetch(`http://127.0.0.1:${port}/demo/facts.json`)).json();
      expect((facts as {tables: {name: string}[]}).tables.map(({name}) => name)).toContain(table);
      await endDev(server);
    }
  });

  test('the screenshots are there, each below 150 kB', () => {
    const images = [...readFileSync('README.md', 'utf8').matchAll(/(?:src|srcset)="([^"]+)"/g)];
    expect(images).toHaveLength(4);
    for (const [, file] of images) expect(readFileSync(file!).length).toBeLessThan(150_000);
  });
});

describe('a project that has installed the package', {timeout: 120_000}, () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  const [library = ''] = blocksOf('README.md', 'ts');
  const example = (name: string) => readFileSync(`fixtures/examples/${name}.ts`, 'utf8');

  beforeAll(async () => {
    folder = await temporaryFolder();
    makeConsumer(folder.path);
    compile(folder.path, {
      readme: library,
      'start-and-stop': example('start-and-stop'),
      'follow-a-slot': example('follow-a-slot'),
      'replay-into-sqlite': example('replay-into-sqlite'),
    });
  });
  afterAll(() => folder?.[Symbol.asyncDispose]());

  const DATABASE = 'postgres://user:password@host:5432/database';
  const DDL = `CREATE TABLE animal (id int PRIMARY KEY, name text); INSERT INTO animal VALUES (1, 'owl')`;
  /** Its own names on a server that is shared with other tests. */
  const named = (appID: string, port: number) => ({
    ZERO_APP_ID: appID,
    ZERO_PORT: String(port),
    ZERO_NUM_SYNC_WORKERS: '1',
    NODE_ENV: 'production',
  });

  test('the server of the page serves a database, until Ctrl-C', async () => {
    await using db = await createDatabase(DDL);
    const port = await freePort(1);
    await using job = startJob(PRODUCTION.replace(DATABASE, db.url), folder.path, named(db.appID, port));
    await until(
      () =>
        fetch(`http://127.0.0.1:${port}/keepalive`).then(
          ({ok}) => ok,
          () => false,
        ),
      'it takes clients',
    );
    await job.ctrlC();
    expect(await isFree(port)).toBe(true);
    expect(existsSync(join(folder.path, 'zero.db'))).toBe(true);
  });

  test('the program of the page', async () => {
    await using db = await createDatabase(DDL);
    const port = await freePort(1);
    expect(library).toContain(DATABASE);
    const program = readFileSync(join(folder.path, 'readme.js'), 'utf8').replace(
      `"${DATABASE}"`,
      `${JSON.stringify(db.url)}, ...process.env`,
    );
    writeFileSync(join(folder.path, 'readme.js'), program);
    await using job = startJob('node readme.js', folder.path, {
      ...named(db.appID, port),
      ZERO_REPLICA_FILE: join(folder.path, 'readme.db'),
    });
    expect(await job.ended, job.output()).toBe(0);
    expect(job.output()).toMatch(/state: 'streaming'/);
  });

  test('start-and-stop.ts', async () => {
    await using db = await createDatabase(DDL);
    await using faulty = startJob('node start-and-stop.js', folder.path);
    expect(await faulty.ended).toBe(1);
    expect(faulty.output()).toContain('ZERO_UPSTREAM_DB');
    await using job = startJob('node start-and-stop.js', folder.path, {
      ...named(db.appID, 0),
      ZERO_UPSTREAM_DB: db.url,
      ZERO_REPLICA_FILE: join(folder.path, 'example.db'),
    });
    expect(await job.ended, job.output()).toBe(0);
    expect(job.output()).toMatch(/streaming, 1 sync worker\(s\), slot z\w+/);
    expect(job.output()).toContain("{ code: 0, reason: 'stopped' }");
  });

  test('follow-a-slot.ts', async () => {
    await using db = await createDatabase(DDL);
    await using job = startJob('node follow-a-slot.js', folder.path, {DATABASE_URL: db.url, PRINT: '2'});
    await job.says('following');
    await db.query(`UPDATE animal SET name = 'cat'`);
    await db.query(`INSERT INTO animal VALUES (2, 'dog'), (3, NULL)`);
    expect(await job.ended, job.output()).toBe(0);
    expect(job.output().match(/^(update|insert).*$/gm)).toEqual([
      'update animal {"id":"1","name":"cat"}',
      'insert animal {"id":"2","name":"dog"}',
      'insert animal {"id":"3","name":null}',
    ]);
    expect(job.output()).toMatch(/^example\.print: 2 in/m);
  });

  test('replay-into-sqlite.ts', async () => {
    mkdirSync(join(folder.path, 'empty'));
    const fixture = join(process.cwd(), 'fixtures/wal/toast-pg18');
    await using job = startJob(`node replay-into-sqlite.js ${fixture} empty/replica.db`, folder.path);
    expect(await job.ended, job.output()).toBe(0);
    expect(job.output()).toMatch(/replay\.apply: [1-9]/);
    expect(existsSync(join(folder.path, 'empty', 'replica.db'))).toBe(true);
  });

  test('a recording of a database', async () => {
    await using db = await createDatabase(`${DDL}; CREATE PUBLICATION my_publication FOR TABLE animal`);
    await using job = startJob(RECORD_UPSTREAM.replace('postgres://…', `'${db.url}'`), folder.path);
    await job.says('recording; Ctrl-C ends it');
    await db.query(`UPDATE animal SET name = 'cat'`);
    await until(
      () =>
        /"frame":.*\n.*"frame":/.test(
          readFileSync(join(folder.path, 'fixtures/wal/my-database/wal.ndjson'), 'utf8'),
        ),
      'it is recorded',
    );
    await job.ctrlC();
    expect(job.output()).toContain('since it was asked to: 1 transaction,');
  });
});
