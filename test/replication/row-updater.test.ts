import {expect, test} from 'vitest';
import Database from '../../src/replica/sqlite.ts';
import type {SqliteValue} from '../../src/replica/table-spec.ts';
import {RowUpdater} from '../../src/replication/row-updater.ts';
import {Random} from '../helpers/random.ts';

const NAMES = ['id', 'a', 'b', 'RowID', 'big', 'doc'];

test('random updates leave the rows and index entries that plain ones do', () => {
  const random = new Random(Date.now() % 100_000);
  const db = new Database(':memory:');
  db.exec(`CREATE TABLE t (id TEXT, a INTEGER, b TEXT, "RowID" INTEGER, big INTEGER, doc TEXT, _0_version TEXT);
    CREATE UNIQUE INDEX pk ON t (id); CREATE INDEX ia ON t (a, b); CREATE INDEX ib ON t (b DESC);
    CREATE INDEX ir ON t ("RowID"); CREATE INDEX ibig ON t (big)`);
  const updater = new RowUpdater(db, 't', NAMES, ['id']);
  const values: Record<string, () => SqliteValue> = {
    a: () => random.pick([null, 1, 2]),
    b: () => random.pick([null, '', 'x', 'y', '1']),
    RowID: () => random.int(3),
    big: () => random.pick([2n ** 60n, 2n ** 60n + 1n, null]),
    doc: () => 'd'.repeat(random.int(5)),
  };
  const fresh = (id: string): SqliteValue[] => [id, ...NAMES.slice(1).map(name => values[name]!())];
  const expected = new Map<string, SqliteValue[]>();
  for (let n = 0; n < 20; n++) {
    const row = fresh(`k${n}`);
    db.prepare('INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)').run(...row, 'v0');
    expected.set(`k${n}`, [...row, 'v0']);
  }
  for (let n = 0; n < 2000; n++) {
    const old = `k${random.int(25)}`;
    const next = random.chance(0.1) ? `k${random.int(25)}` : old;
    if (next !== old && expected.has(next)) continue;
    const row = fresh(next);
    const written = NAMES.flatMap((_, i) => (i === 0 || random.chance(0.8) ? [i] : []));
    const found = updater.update(written, row, `v${n}`, [old], old === next);
    const before = expected.get(old);
    expect(found, `seed ${random.seed}`).toBe(before !== undefined);
    if (!before) continue;
    expected.delete(old);
    expected.set(next, [...NAMES.map((_, i) => (written.includes(i) ? row[i]! : before[i]!)), `v${n}`]);
  }
  const big = (value: SqliteValue) => (typeof value === 'number' ? BigInt(value) : value);
  const rows = db.prepare('SELECT * FROM t ORDER BY id').safeIntegers().raw().all();
  expect(rows, `seed ${random.seed}`).toEqual(
    [...expected.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row.map(big)),
  );
  expect(db.pragma('integrity_check')).toEqual([{integrity_check: 'ok'}]);
  db.close();
});

test('an index is written only when one of its columns changed', () => {
  const statements: string[] = [];
  const watched = new Database(':memory:', {verbose: text => statements.push(String(text))});
  watched.exec(`CREATE TABLE t (id INTEGER, a INTEGER, b INTEGER, _0_version TEXT);
    CREATE UNIQUE INDEX pk ON t (id); CREATE INDEX ia ON t (a); CREATE INDEX ib ON t (b);
    INSERT INTO t VALUES (1, 10, 20, 'v0')`);
  new RowUpdater(watched, 't', ['id', 'a', 'b'], ['id']).update([0, 1, 2], [1, 10, 21], 'v1', [1], true);
  expect(statements.filter(text => text.startsWith('UPDATE'))).toEqual([
    `UPDATE "t" SET "b" = 21.0, "_0_version" = 'v1' WHERE _rowid_ = 1.0`,
  ]);
  watched.close();
});
