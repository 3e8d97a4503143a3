import fc from 'fast-check';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {Timeline} from '../../src/replica/snapshots.ts';
import {compareUtf8, compareValues} from '../../src/zql/compare.ts';
import {checkPattern, likeToRegExp, lowerCase} from '../../src/zql/like.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {TestReplica} from '../helpers/test-replica.ts';

/** The same question to PostgreSQL, to SQLite as queries use it, and to the JS that filters changes. */
let db: TestDatabase;
let replica: TestReplica;
let timeline: Timeline;
beforeAll(async () => {
  db = await createDatabase();
  replica = new TestReplica([]);
  timeline = new Timeline(replica.file);
});
afterAll(async () => {
  timeline.close();
  replica[Symbol.dispose]();
  await db[Symbol.asyncDispose]();
});

const letters = [
  'a',
  'B',
  'b',
  'Ä',
  'ä',
  'ß',
  'Σ',
  'σ',
  'ς',
  'Ж',
  'ж',
  '\n',
  '\t',
  '.',
  '*',
  '\u{1f600}',
  '\ufffd',
  '\u{10400}',
];
const text = fc.string({unit: fc.constantFrom(...letters, '%', '_', '\\'), maxLength: 6});
const pattern = fc
  .array(fc.constantFrom(...letters, '%', '%', '_', '_', '\\%', '\\_', '\\\\', '\\a'), {maxLength: 6})
  .map(parts => parts.join(''));
const sqlite = (sql: string, ...params: unknown[]) =>
  timeline.current
    .prepare(sql)
    .pluck()
    .get(...params);

test('LIKE and ILIKE', async () => {
  const pairs = fc.sample(fc.tuple(text, pattern), {
    numRuns: 2000,
    seed: Number(process.env['ZS_SEED'] ?? 7),
  });
  // Simple case mapping by code point, whatever the locale: PostgreSQL's own provider, since version 17.
  const {rows} = await db.query(
    `SELECT t LIKE p AS "like", t COLLATE "pg_c_utf8" ILIKE p COLLATE "pg_c_utf8" AS "ilike"
     FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS x(t, p, n) ORDER BY n`,
    [pairs.map(([t]) => t), pairs.map(([, p]) => p)],
  );
  let hits = 0;
  for (const [i, [t, p]] of pairs.entries()) {
    checkPattern(p);
    const wanted = rows[i] as {like: boolean; ilike: boolean};
    hits += Number(wanted.like);
    expect([t, p, Boolean(sqlite(`SELECT ? LIKE ? ESCAPE '\\'`, t, p))]).toEqual([t, p, wanted.like]);
    expect([t, p, likeToRegExp(p, false).test(t)]).toEqual([t, p, wanted.like]);
    const lower = lowerCase(p);
    expect([t, p, Boolean(sqlite(`SELECT zs_lower(?) LIKE ? ESCAPE '\\'`, t, lower))]).toEqual([
      t,
      p,
      wanted.ilike,
    ]);
    expect([t, p, likeToRegExp(p, true).test(lowerCase(t))]).toEqual([t, p, wanted.ilike]);
  }
  expect(hits).toBeGreaterThan(50);
});

test('the order of text, with null first', async () => {
  const sample = fc.sample(fc.option(text, {freq: 9}), {numRuns: 500, seed: 11});
  const values = [...new Set(sample)];
  const {rows} = await db.query(
    `SELECT t FROM unnest($1::text[]) AS x(t) ORDER BY t COLLATE "C" NULLS FIRST`,
    [values],
  );
  const wanted = rows.map(row => (row as {t: string | null}).t);
  expect([...values].sort(compareValues)).toEqual(wanted);
  const fromSqlite = timeline.current
    .prepare('SELECT value FROM json_each(?) ORDER BY value')
    .pluck()
    .all(JSON.stringify(values));
  expect(fromSqlite).toEqual(wanted);
  expect(Math.sign(compareUtf8('\ufffd', '\u{10000}'))).toBe(-1);
});

test('comparisons of numbers and of text', async () => {
  const number = fc.oneof(
    fc.integer(),
    fc.double({noNaN: true, noDefaultInfinity: true}),
    fc.constantFrom(0, -0, 1e21, 5e-324),
  );
  const numbers = fc.sample(fc.tuple(number, number), {numRuns: 500, seed: 3});
  const texts = fc.sample(fc.tuple(text, text), {numRuns: 500, seed: 5});
  for (const [type, collate, pairs] of [
    ['float8', '', numbers],
    ['text', ' COLLATE "C"', texts],
  ] as const) {
    const {rows} = await db.query(
      `SELECT a${collate} < b AS lt, a${collate} = b AS eq, a${collate} >= b AS ge
       FROM unnest($1::${type}[], $2::${type}[]) WITH ORDINALITY AS x(a, b, n) ORDER BY n`,
      [pairs.map(([a]) => a), pairs.map(([, b]) => b)],
    );
    for (const [i, [a, b]] of pairs.entries()) {
      const order = compareValues(a, b);
      expect([a, b, order < 0, order === 0, order >= 0]).toEqual([a, b, ...Object.values(rows[i] as object)]);
      const answer = timeline.current
        .prepare('SELECT a < b, a = b, a >= b FROM (SELECT ? AS a, ? AS b)')
        .raw()
        .get(a, b) as number[];
      expect([a, b, ...answer.map(Boolean)]).toEqual([a, b, ...Object.values(rows[i] as object)]);
    }
  }
});

test('a lone backslash at the end is refused, an escaped one is not', () => {
  expect(() => checkPattern('a\\')).toThrow(/backslash/);
  expect(() => checkPattern('a\\\\\\')).toThrow(/backslash/);
  expect(() => checkPattern('a\\\\')).not.toThrow();
});
