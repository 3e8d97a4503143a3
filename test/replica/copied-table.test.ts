import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, expect, test} from 'vitest';
import {CopyTextParser} from '../../src/pg/copy-text.ts';
import type {PublishedColumn, PublishedTable} from '../../src/pg/published-schema.ts';
import {codecFor} from '../../src/pg/types.ts';
import {CopiedTable} from '../../src/replica/copied-table.ts';
import {createTable} from '../../src/replica/create-table.ts';
import {createMetadataTables} from '../../src/replica/metadata.ts';
import Database from '../../src/replica/sqlite.ts';
import type {SqliteValue} from '../../src/replica/table-spec.ts';
import {RowWriter} from '../../src/replica/write-rows.ts';
import {PageFile, readRoots} from '../../src/sqlite-file/page-file.ts';
import {Random} from '../helpers/random.ts';

const dir = mkdtempSync(join(tmpdir(), 'zs-copied-'));
afterAll(() => rmSync(dir, {recursive: true, force: true}));

const VERSION = '1a2b';
/** Texts of COPY for a type: any may stand in a row. */
const SAMPLES: Readonly<Record<string, readonly string[]>> = {
  text: [
    '',
    'a',
    'tab\\tnew\\nline\\\\ back\\b\\f\\v\\r',
    '\\\\N',
    'N',
    'ünïcödé 🙂',
    '1',
    'x'.repeat(5000),
    '\\q',
  ],
  uuid: ['6f1ed0f2-0000-4000-8000-000000000001'],
  jsonb: ['{"a": 1}', '1.50', '"\\\\n"', 'null'],
  bool: ['t', 'f'],
  int2: ['0', '1', '-1', '127', '128', '-128', '-129', '32767', '-32768'],
  int4: ['0', '-0', '2', '8388607', '8388608', '-8388609', '2147483647', '-2147483648'],
  int8: [
    ...['0', '999999999999999', '-99999999999999', '9007199254740993', '-9007199254740993'],
    ...['9223372036854775807', '-9223372036854775808', '140737488355327', '140737488355328'],
  ],
  float4: ['0', '1', '-3', '0.1', 'NaN', 'Infinity', '-Infinity', '1e+30'],
  float8: ['0', '1e300', '-2.5', '9007199254740992', 'NaN', '5e-324', '-0'],
  numeric: ['0', '12.50', '1', '1e3', '99999999999999999999', '9223372036854775807', 'NaN', '-Infinity'],
  date: ['2020-02-29', 'infinity', '0044-03-15 BC', '5874897-12-31'],
  timestamp: ['1999-12-31 23:59:59.123456', '2000-01-01 00:00:00', '-infinity'],
  timestamptz: ['2024-01-01 00:00:00+00', '0044-03-15 12:00:00+00 BC'],
  time: ['24:00:00', '00:00:00', '23:59:59.999999'],
  bytea: ['\\\\x', '\\\\x00ff', `\\\\x${'0a09'.repeat(3000)}`],
  interval: ['1 day', '-00:00:01'],
  point: ['(1,2)'],
  'int4[]': ['{1,NULL,3}', '{}', '{{1,2},{3,4}}'],
  'text[]': ['{"a,b","\\\\"x\\\\"",NULL,"",ü}', '{"\\\\\\\\n\\n"}'],
};

const columnOf = (dataType: string, i: number): PublishedColumn => ({
  name: `c${i}`,
  pos: i + 1,
  typeOid: 0,
  typmod: -1,
  dataType,
  typeClass: 'b',
  elementClass: dataType.endsWith('[]') ? 'b' : null,
  labels: null,
  notNull: false,
  dflt: null,
  missing: null,
});

const tableOf = (types: readonly string[]): PublishedTable => ({
  oid: 1,
  schemaOid: 1,
  schema: 'public',
  name: 'copied',
  replicaIdentity: 'd',
  storage: [],
  partial: false,
  columns: types.map(columnOf),
  primaryKey: [],
  publications: {},
});

const newFile = (name: string, table: PublishedTable): {file: string; root: number} => {
  const file = join(dir, name);
  rmSync(file, {force: true});
  const db = new Database(file);
  createMetadataTables(db);
  createTable(db, table, VERSION);
  const root = readRoots(db).get(table.name)!;
  db.close();
  return {file, root};
};

/** Every value with its storage class; blobs as hex. */
const contents = (file: string, {columns}: PublishedTable): unknown[] => {
  const db = new Database(file);
  expect(db.pragma('integrity_check')).toEqual([{integrity_check: 'ok'}]);
  const values = [...columns.map(column => column.name), '_0_version'].map(
    name => `typeof(${name}), ${name}`,
  );
  const rows = db
    .prepare(`SELECT ${values.join(', ')} FROM copied ORDER BY rowid`)
    .raw()
    .safeIntegers()
    .all();
  db.close();
  return rows;
};

/** In chunks of random sizes, cut anywhere. */
const inChunks = function* (bytes: Buffer, random: Random, largest: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + random.int(largest);
    yield bytes.subarray(at, end);
    at = end;
  }
};

const byPages = (table: PublishedTable, chunks: Iterable<Buffer>): {rows: number; found: unknown[]} => {
  const {file, root} = newFile('pages.db', table);
  const pages = new PageFile(file);
  const copied = new CopiedTable(pages, root, table, VERSION);
  let rows = 0;
  for (const chunk of chunks) rows += copied.write(chunk);
  copied.finish();
  pages.finish();
  pages.close();
  return {rows, found: contents(file, table)};
};

const bySqlite = (table: PublishedTable, chunks: Iterable<Buffer>): {rows: number; found: unknown[]} => {
  const {file} = newFile('sqlite.db', table);
  const db = new Database(file);
  const parser = new CopyTextParser(table.columns.map(column => codecFor(column).fromText));
  const writer = new RowWriter(
    db,
    table.name,
    table.columns.map(column => column.name),
  );
  let rows = 0;
  for (const chunk of chunks) {
    const values: SqliteValue[] = [];
    rows += parser.parse(chunk, values);
    writer.write(values);
  }
  parser.finish();
  writer.finish();
  db.close();
  return {rows, found: contents(file, table)};
};

const TYPES = Object.keys(SAMPLES);

test('pages hold what SQLite would have stored, for every type, wherever chunks are cut', () => {
  for (let seed = 0; seed < 25; seed++) {
    const random = new Random(seed);
    const types = seed === 0 ? TYPES : Array.from({length: 1 + random.int(12)}, () => random.pick(TYPES));
    const lines = Array.from({length: random.pick([0, 1, 30, 200])}, () =>
      types.map(type => (random.chance(0.15) ? '\\N' : random.pick(SAMPLES[type]!))).join('\t'),
    );
    const bytes = Buffer.from(lines.map(line => `${line}\n`).join(''));
    const table = tableOf(types);
    const largest = random.pick([10, 100, 10_000, 1_000_000]);
    const pages = byPages(table, inChunks(bytes, random, largest));
    const sqlite = bySqlite(table, inChunks(bytes, random, largest));
    expect(pages, `seed ${seed}`).toEqual(sqlite);
    expect(pages.rows).toBe(lines.length);
  }
}, 120_000);

test('what is no UTF-8 is stored as the stream reads it', () => {
  const bytes = Buffer.from('a\xff\tb\nok\t\xfc\n', 'latin1');
  const table = tableOf(['text', 'text']);
  expect(byPages(table, [bytes])).toEqual(bySqlite(table, [bytes]));
});

test('a stream that ends within a row is an error', () => {
  const table = tableOf(['text']);
  expect(() => byPages(table, [Buffer.from('whole\nhal')])).toThrow(/ended within a row/);
});
