import {spawn} from 'node:child_process';
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Database} from 'better-sqlite3';
import fc from 'fast-check';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import {arrayToJson} from '../../src/pg/array-text.ts';
import {mapStrings} from '../../src/replay/map-strings.ts';
import {Pseudonyms} from '../../src/replay/pseudonyms.ts';
import {openReader} from '../../src/replica/open.ts';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {until} from '../helpers/until.ts';
import {fixtureReplay} from './io.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'zs-redact-'));
});
afterEach(() => rmSync(root, {recursive: true, force: true}));

/** Everything in a fixture's files, frames in the clear. */
const contents = (dir: string): string =>
  readdirSync(dir)
    .map(file => {
      const text = readFileSync(join(dir, file), 'utf8');
      return file === 'wal.ndjson'
        ? text.replaceAll(/"frame":"([^"]*)"/g, (_, frame: string) => Buffer.from(frame, 'base64').toString())
        : text;
    })
    .join('\n');

const replicaOf = async (dir: string, name: string): Promise<Database> => {
  const file = join(root, `${name}.db`);
  expect(await fixtureReplay('--keep', file, dir)).toMatchObject({code: 0});
  return openReader(file);
};

test.each([
  'toast-pg18',
  'multi-table-pg18',
  'types-pg15',
  'arrays-pg18',
  'replica-identity-pg15',
  'names-pg18',
  'large-transaction-pg18',
  'truncate-and-key-change-pg18',
  'ddl-pg18',
  'filters-pg15',
])('%s replays to the same shape when it is redacted', async name => {
  const from = `fixtures/wal/${name}`;
  const to = join(root, name);
  const {code, out} = await fixtureReplay('redact', from, to);
  expect(code, out).toBe(0);
  expect(readFileSync(join(to, 'expect.log.ndjson'), 'utf8')).not.toContain('"fault"');
  const [raw, redacted] = [await replicaOf(from, 'raw'), await replicaOf(to, 'redacted')];
  const tables = (db: Database) =>
    db
      .prepare(
        `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_zero.%' ESCAPE '\\' ORDER BY 1`,
      )
      .pluck()
      .all() as string[];
  expect(tables(redacted)).toEqual(tables(raw));
  for (const table of tables(raw)) {
    const columns = raw.prepare(`SELECT name FROM pragma_table_info(?)`).pluck().all(table) as string[];
    for (const column of columns) {
      // Ranks of the values of each column in the order of the rows: equality, order and NULL.
      const ranks = (db: Database) =>
        db
          .prepare(
            `SELECT typeof("${column}"), dense_rank() OVER (ORDER BY "${column}") FROM "${table}" ORDER BY rowid`,
          )
          .raw()
          .all();
      // JSON and arrays are not ordered as wholes, and bytea is text afterwards.
      if (
        /json|\[\]|bytea/.test(
          raw
            .prepare('SELECT type FROM pragma_table_info(?) WHERE name = ?')
            .pluck()
            .get(table, column) as string,
        )
      )
        continue;
      expect(ranks(redacted), `${table}.${column}`).toEqual(ranks(raw));
    }
  }
  raw.close();
  redacted.close();
});

test('no string is left, also with --redact while recording', async () => {
  await using db = await createDatabase(`
    CREATE TYPE mood AS ENUM ('gloomy');
    CREATE TABLE t (id uuid PRIMARY KEY, v text DEFAULT 'topsecret0', j jsonb, a text[], b bytea, m mood, n int, x xml);
    ALTER TABLE t REPLICA IDENTITY FULL;
    CREATE PUBLICATION p FOR TABLE t WHERE (v <> 'topsecret1');
    INSERT INTO t VALUES ('aaaaaaaa-0000-4000-8000-000000000001', 'topsecret2', '{"key": ["topsecret3", 4711]}', '{topsecret4,NULL}', 'topsecret5', 'gloomy', 815, '<topsecret6/>')`);
  const dir = join(root, 'live');
  const recording = fixtureReplay(
    ...[
      'record',
      '--redact',
      '--upstream',
      db.url,
      '--publication',
      'p',
      '--out',
      dir,
      '--max-bytes',
      '20000',
    ],
  );
  let ended = false;
  void recording.finally(() => {
    ended = true;
  });
  for (let i = 7; !ended; i++)
    await db.query(`SELECT pg_logical_emit_message(true, 'mine', 'topsecret');
      UPDATE t SET v = 'topsecret${i}', a = ARRAY[NULL, 'topsecret"'], j = j || '{"o": "topsecret\\\\"}'`);
  const {code, out} = await recording;
  expect(code, out).toBe(0);
  expect(out).toMatch(/: \d\d+ transactions/);
  const all = contents(dir);
  expect(all).not.toMatch(/topsecret|aaaaaaaa|746f70736563726574/);
  for (const kept of ['gloomy', '815', '4711', 'key', '"redacted": true']) expect(all).toContain(kept);
});

test('no string is left of a running server either, nor of what reached it beside the stream', async () => {
  await using db = await createDatabase(`
    CREATE TABLE t (id uuid PRIMARY KEY, v text DEFAULT 'topsecret0', j jsonb, a text[], b bytea, n int);
    INSERT INTO t VALUES ('aaaaaaaa-0000-4000-8000-000000000001', 'topsecret2', '{"key": ["topsecret3", 4711]}', '{topsecret4,NULL}', 'topsecret5', 815)`);
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  const dir = join(root, 'server');
  // Before the recording: what is in the replica's own tables.
  await db.query(`UPDATE t SET id = 'aaaaaaaa-0000-4000-8000-000000000002', v = 'topsecret6'`);
  await db.query(`ALTER TABLE t ADD COLUMN early text NOT NULL DEFAULT 'topsecret7'`);
  const recording = fixtureReplay(
    ...['record', '--redact', '--server', daemon.url, '--out', dir, '--max-bytes', '60000'],
  );
  let ended = false;
  void recording.finally(() => {
    ended = true;
  });
  for (let i = 0; !ended; i++) {
    await db.query(
      `INSERT INTO t VALUES (gen_random_uuid(), 'topsecret${i}', '"topsecret"', '{topsecret}', 'topsecret')`,
    );
    if (i === 5) await db.query(`ALTER TABLE t ADD COLUMN late text DEFAULT 'topsecret8'`);
    if (i === 8)
      await db.query(`ALTER TABLE t ADD COLUMN filled text DEFAULT 'topsecret' || gen_random_uuid()`);
  }
  const {code, out} = await recording;
  expect(code, out).toBe(0);
  const all = contents(dir);
  expect(all).not.toMatch(/topsecret|aaaaaaaa|746f70736563726574/);
  for (const kept of ['815', '4711', 'key', '"redacted": true', '"early"']) expect(all).toContain(kept);
  expect(readFileSync(join(dir, 'expect.log.ndjson'), 'utf8')).not.toContain('"fault"');
});

test('a recording that is ended by a signal leaves no raw copy behind', async () => {
  await using db = await createDatabase(
    'CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t',
  );
  const tmp = join(root, 'tmp');
  mkdirSync(tmp);
  const child = spawn(
    process.execPath,
    [
      'dist/fixture-replay.js',
      'record',
      '--redact',
      '--upstream',
      db.url,
      '--publication',
      'p',
      '--out',
      join(root, 'x'),
    ],
    {env: {...process.env, TMPDIR: tmp}, stdio: ['ignore', 'pipe', 'inherit']},
  );
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  await until(() => printed.includes('recording;'), 'the recording has begun');
  expect(readdirSync(tmp)).toHaveLength(1);
  child.kill('SIGTERM');
  expect(await new Promise(resolve => child.once('exit', resolve))).toBe(143);
  expect(readdirSync(tmp)).toEqual([]);
});

describe('strings within values', () => {
  const star = (word: string) => `<${word}>`;
  test('of JSON, where names of properties stay', () => {
    expect(mapStrings('json', '{"a" : "x\\"y", "b": [1.50, "z", null, {"c":""}], "\\"":"d"}', star)).toBe(
      '{"a" : "<x\\"y>", "b": [1.50, "<z>", null, {"c":"<>"}], "\\"":"<d>"}',
    );
    expect(mapStrings('json', '"s"', star)).toBe('"<s>"');
    expect(mapStrings('json', '1.50', star)).toBe('1.50');
  });

  test('of arrays: what is parsed afterwards is what was parsed before, mapped', () => {
    for (const text of ['{}', '{a,NULL,"NULL",""}', '{{"a,b","c\\"d\\\\"},{NULL,"{x}"}}', '[0:1]={x,y}']) {
      const map = (value: unknown): unknown =>
        Array.isArray(value) ? value.map(map) : value === null ? null : star(value as string);
      expect(JSON.parse(arrayToJson(mapStrings({arrayOf: 'text'}, text, star), 'text'))).toEqual(
        map(JSON.parse(arrayToJson(text, 'text'))),
      );
    }
    expect(mapStrings({arrayOf: 'json'}, '{"{\\"a\\": \\"x\\"}",NULL,1}', star)).toBe(
      '{"{\\"a\\": \\"<x>\\"}",NULL,"1"}',
    );
  });

  test('pseudonyms keep equality and order by bytes, whatever the strings', () => {
    fc.assert(
      fc.property(fc.array(fc.string({unit: 'grapheme', maxLength: 4}), {maxLength: 30}), words => {
        const names = new Pseudonyms(':memory:');
        for (const word of words) names.collect(word);
        names.seal();
        const bytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
        for (const a of words)
          for (const b of words)
            expect(Math.sign(bytes(names.of(a), names.of(b)))).toBe(Math.sign(bytes(a, b)));
        names.close();
      }),
      {numRuns: 50},
    );
  });
});
