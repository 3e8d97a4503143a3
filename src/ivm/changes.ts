import {ident} from '../pg/identifier.ts';
import type {Version} from '../pg/lsn.ts';
import type {Snapshot} from '../replica/snapshots.ts';
import type {SqliteValue, TableSpec} from '../replica/table-spec.ts';
import type {StoredRow} from '../zql/predicate.ts';

/** Net change of one row between two snapshots, as stored; at least one side is there. */
export interface RowChange {
  readonly table: string;
  readonly old: StoredRow | null;
  readonly new: StoredRow | null;
}

/** Everything that changed between two snapshots. */
export interface Changes {
  readonly rows: readonly RowChange[];
  /** Tables changed as a whole (truncated, or of a new shape): what depends on them is computed anew. */
  readonly wholeTables: ReadonlySet<string>;
  /** True if the replicated schema changed. */
  readonly schemaChanged: boolean;
  readonly touchedTables: ReadonlySet<string>;
}

interface LogRow {
  table: string;
  rowKey: string;
  op: 's' | 'd' | 't' | 'r';
}

/**
 * Reads the change log between `from` and the version of `current` (replication.md §5.3). Rows of tables that `wanted`
 * refuses are not read. One entry per row however many transactions lie between.
 */
export const readChanges = (
  previous: Snapshot,
  current: Snapshot,
  from: Version,
  tables: ReadonlyMap<string, TableSpec>,
  wanted: (table: string) => boolean,
): Changes => {
  const entries = current
    .prepare(
      'SELECT "table", rowKey, op FROM "_zero.changeLog2" WHERE stateVersion > ? ORDER BY stateVersion, pos',
    )
    .raw(false)
    .all(from) as LogRow[];
  const rows: RowChange[] = [];
  const wholeTables = new Set<string>();
  const touchedTables = new Set<string>();
  let schemaChanged = false;
  for (const {table, op} of entries) {
    touchedTables.add(table);
    if (op === 'r') schemaChanged = true;
    if (op === 'r' || op === 't') wholeTables.add(table);
  }
  // Rows logged before their table changed as a whole may be keyed by columns that are no longer there.
  for (const {table, rowKey, op} of entries) {
    if (op === 'r' || op === 't' || !wanted(table) || wholeTables.has(table) || !tables.has(table)) continue;
    const key = parseRowKey(rowKey);
    const before = readStored(previous, table, key);
    const after = op === 's' ? readStored(current, table, key) : null;
    if (before || after) rows.push({table, old: before, new: after});
  }
  return {rows, wholeTables, schemaChanged, touchedTables};
};

const parseRowKey = (text: string): Record<string, SqliteValue> => {
  const key = JSON.parse(text) as Record<string, SqliteValue>;
  // `JSON.parse` rounds integers beyond ±(2^53 − 1), which would address another row: their digits are read again.
  for (const [name, value] of Object.entries(key))
    if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
      const digits = text.slice(text.indexOf(`${JSON.stringify(name)}:`) + JSON.stringify(name).length + 1);
      const exact = /^-?\d+(?=[,}])/.exec(digits)?.[0];
      if (exact) key[name] = BigInt(exact);
    }
  return key;
};

const readStored = (
  snapshot: Snapshot,
  table: string,
  key: Readonly<Record<string, SqliteValue>>,
): StoredRow | null => {
  const columns = Object.keys(key);
  const row = snapshot
    .prepare(`SELECT * FROM ${ident(table)} WHERE ${columns.map(name => `${ident(name)} = ?`).join(' AND ')}`)
    .raw(false)
    .get(...columns.map(name => key[name]!)) as StoredRow | undefined;
  return row ?? null;
};

/** JSON array text of some columns of a stored row, equal to SQLite's own; null if any is null. */
export const storedTuple = (row: StoredRow, columns: readonly string[]): string | null => {
  const values: SqliteValue[] = [];
  for (const name of columns) {
    const value = row[name] ?? null;
    if (value === null) return null;
    values.push(value);
  }
  return JSON.stringify(values);
};
