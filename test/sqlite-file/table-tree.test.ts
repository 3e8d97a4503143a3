import {closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import fc from 'fast-check';
import {afterAll, expect, test} from 'vitest';
import Database from '../../src/replica/sqlite.ts';
import {PageFile, readRoots} from '../../src/sqlite-file/page-file.ts';
import {RecordBuffer} from '../../src/sqlite-file/record.ts';
import {TableTree} from '../../src/sqlite-file/table-tree.ts';

type Value = null | number | bigint | string | Buffer;
type Row = readonly Value[];

const dir = mkdtempSync(join(tmpdir(), 'zs-pages-'));
afterAll(() => rmSync(dir, {recursive: true, force: true}));
let files = 0;

/** A new file with an empty table `t` of so many columns without affinity, and one more table that has a row. */
const emptyFile = (columns: number, pageBytes: number): string => {
  const file = join(dir, `${files++}.db`);
  const db = new Database(file);
  db.pragma('synchronous = OFF');
  db.pragma(`page_size = ${pageBytes}`);
  db.exec(`CREATE TABLE other (a); INSERT INTO other VALUES ('here before');
    CREATE TABLE t (${Array.from({length: columns}, (_, i) => `c${i}`).join(',')})`);
  db.close();
  return file;
};

const rootOf = (file: string): number => {
  const db = new Database(file, {readonly: true});
  const root = readRoots(db).get('t')!;
  db.close();
  return root;
};

const put = (record: RecordBuffer, value: Value): void => {
  if (value === null) record.null();
  else if (typeof value === 'number') record.number(value);
  else if (typeof value === 'bigint') record.bigint(value);
  else if (typeof value === 'string') record.text(value);
  else record.blob(value);
};

const append = (file: string, columns: number, rows: Iterable<Row>): void => {
  const pages = new PageFile(file);
  const tree = new TableTree(pages, rootOf(file));
  const record = new RecordBuffer(columns);
  for (const row of rows) {
    record.begin();
    for (const value of row) put(record, value);
    tree.append(record);
  }
  tree.finish();
  pages.finish();
  pages.close();
};

/** What SQLite reads, once it has found nothing wrong with the file. */
const read = (file: string): Value[][] => {
  const db = new Database(file);
  db.pragma('synchronous = OFF');
  expect(db.pragma('integrity_check')).toEqual([{integrity_check: 'ok'}]);
  expect(db.prepare('SELECT a FROM other').pluck().all()).toEqual(['here before']);
  const rows = db.prepare('SELECT * FROM t ORDER BY rowid').raw().safeIntegers().all() as Value[][];
  const rowids = db.prepare('SELECT min(rowid), max(rowid), count(*) FROM t').raw().get();
  expect(rowids).toEqual(rows.length ? [1, rows.length, rows.length] : [null, null, 0]);
  // It goes on as SQLite's own.
  db.exec('INSERT INTO t SELECT * FROM t LIMIT 50; DELETE FROM t WHERE rowid % 3 = 0; VACUUM');
  expect(db.pragma('integrity_check')).toEqual([{integrity_check: 'ok'}]);
  db.close();
  return rows.map(row => row.map(comparable));
};

/** Blobs as texts: they are compared in an instant. */
const comparable = (value: Value): Value => (Buffer.isBuffer(value) ? `x${value.toString('hex')}` : value);

/** With safe integers SQLite's whole numbers are read as bigints. */
const asRead = (value: Value): Value => {
  if (typeof value !== 'number') return comparable(value);
  if (Number.isNaN(value)) return null;
  return Number.isInteger(value) && Math.abs(value) < 2 ** 63 ? BigInt(value) : value;
};

const check = (columns: number, pageBytes: number, rows: readonly Row[]): void => {
  const file = emptyFile(columns, pageBytes);
  append(file, columns, rows);
  expect(read(file)).toEqual(rows.map(row => row.map(asRead)));
  rmSync(file);
};

const powers = [7, 8, 15, 16, 23, 24, 31, 32, 47, 48, 53, 62, 63].flatMap(bits => [
  2n ** BigInt(bits) - 1n,
  -(2n ** BigInt(bits)),
  2n ** BigInt(bits),
  -(2n ** BigInt(bits)) - 1n,
]);
const INTEGERS = powers.filter(value => BigInt.asIntN(64, value) === value);

test('every number is read back, whole ones as integers', () => {
  const numbers = [
    0,
    -0,
    1,
    -1,
    2,
    0.5,
    -1e300,
    5e-324,
    Number.NaN,
    Infinity,
    -Infinity,
    1e18,
    2 ** 63,
    -(2 ** 63),
  ];
  check(
    1,
    4096,
    [...numbers, ...powers.map(Number), ...INTEGERS].map(value => [value]),
  );
});

test('numbers take the room that they take when SQLite writes them', () => {
  const values = [...INTEGERS, 0n, 1n, -1n, 0.5, null, '', 'x', Buffer.alloc(0), Buffer.from('y')];
  const ours = emptyFile(1, 512);
  append(
    ours,
    1,
    Array.from({length: 2000}, (_, i) => [values[i % values.length]!]),
  );
  const theirs = emptyFile(1, 512);
  const db = new Database(theirs);
  const insert = db.prepare('INSERT INTO t VALUES (?)');
  db.transaction(() => {
    for (let i = 0; i < 2000; i++) insert.run(values[i % values.length]);
  })();
  db.close();
  const sizes = (file: string) => {
    const opened = new Database(file, {readonly: true});
    const [payload, leaves] = opened
      .prepare(`SELECT sum(payload), count(*) FROM dbstat WHERE name = 't' AND pagetype = 'leaf'`)
      .raw()
      .get() as number[];
    opened.close();
    return {payload, leaves};
  };
  expect(sizes(ours)).toEqual(sizes(theirs));
});

test('tables of no row, one row, and of as many as make each page just full', () => {
  for (const pageBytes of [512, 4096, 65_536])
    for (const count of [0, 1, 2, 3])
      check(
        2,
        pageBytes,
        Array.from({length: count}, (_, i) => [i, 'row']),
      );
  // A page of 512 bytes takes 56 such rows, and an interior page some 60 pages: the ends of leaves and of interior pages are met.
  for (let count = 50; count < 70; count++)
    check(
      1,
      512,
      Array.from({length: count}, () => ['abc']),
    );
  const perLeaf = 55;
  for (let leaves = 55; leaves < 75; leaves++)
    for (const more of [-1, 0, 1])
      check(
        1,
        512,
        Array.from({length: leaves * perLeaf + more}, () => ['abc']),
      );
});

test('a tree of four levels', () => {
  check(
    1,
    512,
    Array.from({length: 60_000}, (_, i) => [`${i} ${'x'.repeat(100)}`]),
  );
});

test('rows around every limit of what stays on a page', () => {
  for (const pageBytes of [512, 1024, 4096, 65_536]) {
    const maxLocal = pageBytes - 35;
    const minLocal = Math.floor(((pageBytes - 12) * 32) / 255) - 23;
    const overflow = pageBytes - 4;
    const sizes = new Set<number>();
    for (const limit of [
      ...[0, 63, 64, 127, 128, 8191, 8192, 16_383, 16_384],
      ...[
        maxLocal,
        minLocal + overflow,
        maxLocal + overflow,
        minLocal + 2 * overflow,
        maxLocal + 2 * overflow,
      ],
    ])
      for (let size = limit - 12; size < limit + 6; size++) if (size >= 0) sizes.add(size);
    check(
      2,
      pageBytes,
      [...sizes].map((size, i) => [i % 2 ? 'a'.repeat(size) : Buffer.alloc(size, i), size]),
    );
  }
});

test('huge rows over thousands of pages', () => {
  check(2, 4096, [
    ['small', 1],
    [Buffer.alloc(40_000_000, 7), 2],
    ['ü'.repeat(3_000_000), 3],
    ['small', 4],
  ]);
});

test('as many columns as a table has, around the limits of a header', () => {
  for (const columns of [1, 62, 63, 64, 125, 126, 127, 128, 129, 2000]) {
    check(columns, 4096, [
      Array.from({length: columns}, (_, i) => i),
      Array.from({length: columns}, () => null),
      Array.from({length: columns}, (_, i) => 'x'.repeat(i % 100)),
    ]);
  }
});

test('random rows', () => {
  const value = fc.oneof(
    fc.constant(null),
    fc.double(),
    fc.integer(),
    fc.bigInt({min: -(2n ** 63n), max: 2n ** 63n - 1n}),
    fc.string({unit: 'binary', maxLength: 2000, size: 'max'}).map(text => text.replaceAll('\0', '')),
    fc.uint8Array({maxLength: 3000, size: 'max'}).map(bytes => Buffer.from(bytes)),
  );
  const rows = fc
    .integer({min: 1, max: 8})
    .chain(columns =>
      fc.array(fc.array(value, {minLength: columns, maxLength: columns}), {maxLength: 60, size: 'max'}),
    );
  fc.assert(
    fc.property(rows, fc.constantFrom(512, 1024, 4096, 65_536), (some, pageBytes) => {
      check(some[0]?.length ?? 1, pageBytes, some);
    }),
    {numRuns: 40},
  );
}, 120_000);

test('two tables may be written at the same time', () => {
  const file = emptyFile(1, 1024);
  const db = new Database(file);
  db.exec('CREATE TABLE u (a)');
  const roots = readRoots(db);
  db.close();
  const pages = new PageFile(file);
  const trees = ['t', 'u'].map(name => new TableTree(pages, roots.get(name)!));
  const record = new RecordBuffer(1);
  for (let i = 0; i < 5000; i++)
    for (const [which, tree] of trees.entries()) {
      record.begin();
      record.text(`${which} ${'z'.repeat(i % 700)}`);
      tree.append(record);
    }
  for (const tree of trees) tree.finish();
  pages.finish();
  pages.close();
  const opened = new Database(file);
  expect(opened.prepare(`SELECT count(*) FROM u WHERE a LIKE '1 z%'`).pluck().get()).toBe(4992);
  opened.close();
  expect(read(file)).toEqual(Array.from({length: 5000}, (_, i) => [`0 ${'z'.repeat(i % 700)}`]));
});

test('the page of the locks is left out', () => {
  const pageBytes = 65_536;
  const lockPage = 2 ** 30 / pageBytes + 1;
  const file = emptyFile(1, pageBytes);
  // A hole in the place of a gigabyte of rows, of which the header says that it is part of the file.
  const fd = openSync(file, 'r+');
  ftruncateSync(fd, (lockPage - 3) * pageBytes);
  const count = Buffer.alloc(4);
  count.writeUInt32BE(lockPage - 3);
  writeSync(fd, count, 0, 4, 28);
  closeSync(fd);
  const pages = new PageFile(file);
  const tree = new TableTree(pages, rootOf(file));
  const record = new RecordBuffer(1);
  const rows = [5, 200_000, 5, 300_000, 10].map(size => 'q'.repeat(size));
  for (const row of rows) {
    record.begin();
    record.text(row);
    tree.append(record);
  }
  tree.finish();
  pages.finish();
  pages.close();
  const opened = new Database(file, {readonly: true});
  expect(opened.prepare('SELECT c0 FROM t').pluck().all()).toEqual(rows);
  const used = opened.prepare(`SELECT pageno FROM dbstat WHERE name = 't'`).pluck().all() as number[];
  expect(used).not.toContain(lockPage);
  expect(Math.max(...used)).toBeGreaterThan(lockPage);
  opened.close();
  rmSync(file);
});

test('until it is finished the file is as it was; a file with a pointer map is refused', () => {
  const file = emptyFile(1, 4096);
  const pages = new PageFile(file);
  for (let i = 0; i < 600; i++) pages.append(Buffer.alloc(4096, 1));
  pages.close();
  expect(read(file)).toEqual([]);

  const mapped = join(dir, 'mapped.db');
  const db = new Database(mapped);
  db.pragma('auto_vacuum = FULL');
  db.exec('CREATE TABLE t (a)');
  db.close();
  expect(() => new PageFile(mapped)).toThrow('pointer map');
});
