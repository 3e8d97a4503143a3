import {execFileSync} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {dumpReplica} from '../../src/replay/dump-replica.ts';
import {openReader} from '../../src/replica/open.ts';
import {startDaemon} from '../helpers/daemon.ts';
import {limitedRole} from '../helpers/limited-role.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {untilServed} from '../helpers/served.ts';
import {smallDisk} from '../helpers/small-disk.ts';
import {until} from '../helpers/until.ts';
import {fixtureReplay} from './io.ts';
import {startRecording} from './start-recording.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'zs-live-'));
});
afterEach(() => rmSync(root, {recursive: true, force: true}));

const DDL = `
  CREATE TYPE mood AS ENUM ('sad', 'ok');
  CREATE TABLE tick (n int PRIMARY KEY, f float8, big int8, m mood, j jsonb, b bytea, a text[], at timestamptz DEFAULT now());
  CREATE TABLE twin (n int PRIMARY KEY, body text);
  ALTER TABLE twin ALTER body SET STORAGE EXTERNAL;
  INSERT INTO tick SELECT -n, n, 9007199254740993 + n, 'ok', '{"a": 1.50}', '\\x00ff', '{x,NULL}' FROM generate_series(1, 500) n;
  INSERT INTO twin SELECT -n, repeat(md5(n::text), 100) FROM generate_series(1, 500) n;`;

const write = (db: TestDatabase, n: number) =>
  db.query(`BEGIN; INSERT INTO tick (n, f, m) VALUES (${n}, ${n} / 2.0, 'sad'); INSERT INTO twin VALUES (${n}, 'x');
    UPDATE tick SET f = f + 1 WHERE n = -${(n % 500) + 1}; UPDATE twin SET n = n - 1000 WHERE n = -${(n % 500) + 1}; COMMIT`);

/** The server writes its change log a moment behind the replica: waits for the last transaction of a recording. */
const logged = (db: TestDatabase, watermark: string) => {
  const sql = `SELECT 1 FROM "${db.appID}_0/cdc"."changeLog" WHERE watermark = $1 AND precommit IS NOT NULL`;
  return until(async () => (await db.query(sql, [watermark])).rowCount === 1, 'the change log is written');
};

test('what a recording of a running server replays to is that server’s replica and change log, byte for byte', async () => {
  await using db = await createDatabase(DDL);
  await using daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {ZERO_ADMIN_PASSWORD: 'pw'},
  });
  const dir = join(root, 'wal', 'live');
  let writing = true;
  const writer = (async () => {
    let n = 0;
    while (writing) await write(db, ++n);
    return n;
  })();
  // Relations are described before the recording begins, and never again on this connection.
  await until(() => stateVersion(daemon.replicaFile) > '', 'the replica is there');
  const recording = fixtureReplay(
    ...['record', '--server', daemon.url, '--password', 'pw', '--out', dir, '--max-bytes', '60000'],
  );
  const {code, out, err} = await recording;
  writing = false;
  await writer;
  expect(err).toBe('');
  expect(code, out).toBe(0);
  expect(out).toMatch(/snapshot of version \w+; .*\n.*--max-bytes: [1-9]\d* transactions/);

  const facts = JSON.parse(readFileSync(join(dir, 'case.json'), 'utf8')) as {
    snapshot: string;
    replicaVersion: string;
  };
  expect(facts.snapshot).toBe('replica');
  const log = readFileSync(join(dir, 'expect.log.ndjson'), 'utf8')
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line));
  const last = log.at(-1).watermark as string;
  await logged(db, last);
  const {rows} = await db.query(
    `SELECT watermark, pos::int, change::text, precommit FROM "${db.appID}_0/cdc"."changeLog"
     WHERE watermark >= $1 AND watermark <= $2 ORDER BY watermark COLLATE "C", pos`,
    [log[0].watermark, last],
  );
  expect(readFileSync(join(dir, 'expect.log.ndjson'), 'utf8')).toBe(rows.map(logRow).join(''));
});

test('at rest, and with transactions in between: the dump of the replica is the same', async () => {
  await using db = await createDatabase(DDL);
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  await write(db, 1);
  await untilServed(daemon, 'SELECT count(*) = 1 FROM tick WHERE n = 1');
  const dir = join(root, 'rest');
  const end = await startRecording({server: daemon.url, out: dir, about: 'at rest'});
  for (let n = 2; n < 20; n++) await write(db, n);
  expect(await end(db)).toContain('it was asked to: 18 transactions');
  const replica = openReader(daemon.replicaFile);
  expect(readFileSync(join(dir, 'expect.replica.ndjson'), 'utf8')).toBe(
    `${[...dumpReplica(replica)].join('\n')}\n`,
  );
  replica.close();
});

test('what reaches the replica beside the stream is recorded with its place: rows read, catalogs, indexes', async () => {
  await using db = await createDatabase(DDL);
  // Without leave to create event triggers the server looks at the catalog every second; here one is created for it.
  await using role = await limitedRole(db);
  await db.query('CREATE PUBLICATION everything FOR TABLES IN SCHEMA public');
  await using daemon = await startDaemon({
    upstream: role.url,
    appID: db.appID,
    env: {ZERO_APP_PUBLICATIONS: 'everything'},
  });
  const trigger = `"${db.appID}_ddl_end_0"`;
  await db.query(
    `CREATE EVENT TRIGGER ${trigger} ON ddl_command_end EXECUTE FUNCTION "${db.appID}_0".emit_ddl_end()`,
  );
  const replicaHas = (sql: string) => {
    const replica = openReader(daemon.replicaFile);
    try {
      return replica.prepare(sql).get() !== undefined;
    } finally {
      replica.close();
    }
  };
  const filled = (column: string) => () =>
    replicaHas(`SELECT 1 FROM "_zero.column_metadata" WHERE column_name = '${column}' AND backfill IS NULL`);
  const dir = join(root, 'beside');
  const end = await startRecording({server: daemon.url, out: dir, about: 'at rest'});
  await write(db, 1);
  // Values that no message carries: they are read beside the stream.
  await db.query('ALTER TABLE tick ADD COLUMN token uuid DEFAULT gen_random_uuid()');
  for (let n = 2; n < 10; n++) await write(db, n);
  await until(filled('token'), 'the column is filled');
  // Without announcements the catalog is read, for rows and by itself.
  await db.query(`DROP EVENT TRIGGER ${trigger}`);
  await db.query(`ALTER TABLE twin ADD COLUMN late text DEFAULT 'l'`);
  for (let n = 10; n < 20; n++) await write(db, n);
  await until(filled('late'), 'the late column is there');
  await db.query('CREATE INDEX tick_f ON tick (f)');
  await until(() => replicaHas(`SELECT 1 FROM sqlite_master WHERE name = 'tick_f'`), 'the index is found');
  await write(db, 20);
  await end(db);
  const asides = readFileSync(join(dir, 'asides.ndjson'), 'utf8');
  for (const kind of ['"kind":"backfill"', '{"catalog"', '"kind":"schema"']) expect(asides).toContain(kind);
  const replica = openReader(daemon.replicaFile);
  expect(readFileSync(join(dir, 'expect.replica.ndjson'), 'utf8')).toBe(
    `${[...dumpReplica(replica)].join('\n')}\n`,
  );
  replica.close();
  const log = readFileSync(join(dir, 'expect.log.ndjson'), 'utf8');
  expect(log).not.toContain('"fault"');
  const {watermark: last} = JSON.parse(log.trimEnd().split('\n').at(-1)!) as {watermark: string};
  await logged(db, last);
  const {rows} = await db.query(
    `SELECT watermark, pos::int, change::text, precommit FROM "${db.appID}_0/cdc"."changeLog"
     WHERE watermark COLLATE "C" >= $1 ORDER BY watermark COLLATE "C", pos`,
    [(JSON.parse(log.slice(0, log.indexOf('\n'))) as {watermark: string}).watermark],
  );
  expect(log).toBe(rows.map(logRow).join(''));
}, 90_000);

test('a disk that is full ends a recording with a line that names the file, and leaves nothing of it', async context => {
  await using db = await createDatabase(DDL);
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  // The rows that are there take more than 2 MB.
  for (const [megabytes, file] of [
    [1, 'replica.ndjson'],
    [8, 'wal.ndjson'],
  ] as const) {
    const disk = await smallDisk(megabytes);
    if (disk === null) return context.skip('mounting a small disk takes root');
    const dir = join(disk, 'full');
    let ended = false;
    const recording = fixtureReplay('record', '--server', daemon.url, '--out', dir).finally(() => {
      ended = true;
    });
    try {
      // Only the stream fills the larger one.
      while (megabytes > 1 && !ended)
        await db.query('UPDATE twin SET body = repeat(md5(random()::text), 100) WHERE n < -400');
      const {code, err} = await recording;
      expect(err).toBe(`fixture-replay: T001 ${join(dir, file)} cannot be written (ENOSPC).\n`);
      expect(code).toBe(2);
      expect(existsSync(dir)).toBe(false);
    } finally {
      execFileSync('umount', ['-l', disk]);
      rmSync(disk, {recursive: true});
    }
  }
});

test('a server that wants its password, or is none, is told apart', async () => {
  await using db = await createDatabase(DDL);
  await using daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {ZERO_ADMIN_PASSWORD: 'pw'},
  });
  const record = (server: string, ...more: string[]) =>
    fixtureReplay('record', '--server', server, '--out', join(root, 'none'), ...more);
  const refused = /T002 Cannot record the server at .*: it wants its admin password/;
  expect(await record(daemon.url)).toMatchObject({code: 2, err: expect.stringMatching(refused)});
  expect(await record(daemon.url, '--password', 'wrong')).toMatchObject({
    code: 2,
    err: expect.stringContaining('it has another admin password than --password or ZERO_ADMIN_PASSWORD say'),
  });
  expect(await record('http://127.0.0.1:1')).toMatchObject({
    code: 2,
    err: expect.stringContaining('nothing answers there (ECONNREFUSED)'),
  });
  expect(await record('nonsense')).toMatchObject({
    code: 2,
    err: expect.stringContaining('no http:// or https:// address'),
  });
  expect(existsSync(join(root, 'none'))).toBe(false);
  expect(await fixtureReplay('record', '--out', join(root, 'none'))).toMatchObject({
    code: 2,
    err: expect.stringContaining('--server, or --upstream'),
  });
  const response = await fetch(`${daemon.url}/record`);
  expect(response.status).toBe(404);
});

const logRow = (row: {watermark: string; pos: number; change: string; precommit: string | null}): string =>
  `{"watermark":"${row.watermark}","pos":${row.pos},"change":${row.change},"precommit":${JSON.stringify(row.precommit)}}\n`;

const stateVersion = (file: string): string => {
  const db = openReader(file);
  try {
    return db.prepare('SELECT stateVersion FROM "_zero.replicationState"').pluck().get() as string;
  } finally {
    db.close();
  }
};
