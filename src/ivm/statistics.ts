import {ident} from '../pg/identifier.ts';
import type {Snapshot} from '../replica/snapshots.ts';
import type {TableSpec} from '../replica/table-spec.ts';
import type {Statistics} from '../zql/planner.ts';

/**
 * Statistics of a replica for the planner: sizes from ANALYZE where it ran, and small counts on the spot. Averages are
 * those of the last ANALYZE, counts those of the snapshot.
 */
export const readStatistics = (snapshot: Snapshot, tables: ReadonlyMap<string, TableSpec>): Statistics => {
  const sizes = new Map<string, number>();
  return {
    rows: table => {
      let rows = sizes.get(table);
      if (rows === undefined) {
        rows =
          (snapshot
            .prepare(`SELECT max(rowid) FROM ${ident(table)}`)
            .pluck()
            .get() as number | null) ?? 0;
        sizes.set(table, rows);
      }
      return rows;
    },
    perKey: (table, columns) => {
      const averages = averagesOf(snapshot, tables);
      const index = tables
        .get(table)
        ?.indexes.find(({columns: own}) =>
          columns.every(name => own.slice(0, columns.length).includes(name)),
        );
      return (index && averages.get(index.name)?.[columns.length]) ?? null;
    },
    count: (table, where, limit) =>
      snapshot
        .prepare(`SELECT count(*) FROM (SELECT 1 FROM ${ident(table)} t WHERE ${where.sql} LIMIT ${limit})`)
        .pluck()
        .get(...where.params) as number,
  };
};

type Averages = ReadonlyMap<string, readonly number[]>;

/** Averages change slowly: read again once a minute, and when the tables change. */
const KEEP_MS = 60_000;
const known = new WeakMap<
  ReadonlyMap<string, TableSpec>,
  {readonly averages: Averages; readonly readAtMs: number}
>();

const averagesOf = (snapshot: Snapshot, tables: ReadonlyMap<string, TableSpec>): Averages => {
  let found = known.get(tables);
  if (!found || Date.now() - found.readAtMs > KEEP_MS) {
    found = {averages: readAverages(snapshot), readAtMs: Date.now()};
    known.set(tables, found);
  }
  return found.averages;
};

/** `sqlite_stat1` by index: rows, then rows per value of the first column, of the first two, … */
const readAverages = (snapshot: Snapshot): Averages => {
  const analyzed = snapshot
    .prepare(`SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat1'`)
    .pluck()
    .get() as number;
  if (!analyzed) return new Map();
  const rows = snapshot.prepare(`SELECT idx, stat FROM sqlite_stat1 WHERE idx IS NOT NULL`).raw().all() as [
    string,
    string,
  ][];
  return new Map(rows.map(([name, stat]) => [name, stat.split(' ').map(Number).filter(Number.isFinite)]));
};
