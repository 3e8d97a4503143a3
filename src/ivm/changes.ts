import {ident, literal} from '../pg/identifier.ts';
import type {Version} from '../pg/lsn.ts';
import type {Snapshot} from '../replica/snapshots.ts';
import type {SqliteValue, TableSpec} from '../replica/table-spec.ts';
import {valueText} from '../replica/value-text.ts';
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
  readonly table: string;
  readonly rowKey: string;
  readonly op: 's' | 'd' | 't' | 'r';
}

/** Beyond so many changed rows of a table, what depends on it is computed anew. */
const MOST_ROWS = 20_000;
/** Rows per statement. */
const CHUNK = 500;
const NEWER = 'FROM "_zero.changeLog2" WHERE stateVersion > ?';

/** Which changes are wanted: rows of others are not read. */
export interface Interest {
  inTable(table: string): boolean;
  /** Tells by the stored key of a row, an object of `columns`, whether it is wanted; null if its key does not tell. */
  byKey(table: string, columns: readonly string[]): ((key: StoredRow) => boolean) | null;
}

/**
 * Reads the change log between `from` and the version of `current` (replication.md §5.3). One entry per row however many
 * transactions lie between; a table of which very many rows changed counts as changed as a whole, so that memory and time
 * are bounded.
 */
export const readChanges = (
  previous: Snapshot,
  current: Snapshot,
  from: Version,
  tables: ReadonlyMap<string, TableSpec>,
  interest: Interest,
): Changes => {
  const wholeTables = new Set<string>();
  const touchedTables = new Set<string>();
  let schemaChanged = false;
  const keys = new Map<string, {rowKeys: string[]; deleted: Set<string>} | null>();
  for (const {table, rowKey, op} of entriesSince(current, from, wholeTables)) {
    touchedTables.add(table);
    if (op === 'r') schemaChanged = true;
    if (op === 'r' || op === 't') {
      wholeTables.add(table);
      continue;
    }
    let own = keys.get(table);
    if (own === undefined) {
      own = interest.inTable(table) && tables.has(table) ? {rowKeys: [], deleted: new Set()} : null;
      keys.set(table, own);
    }
    if (!own) continue;
    own.rowKeys.push(rowKey);
    if (op === 'd') own.deleted.add(rowKey);
  }
  for (const table of wholeTables) touchedTables.add(table);
  const rows: RowChange[] = [];
  for (const [table, own] of keys) {
    if (!own || wholeTables.has(table)) continue;
    const {deleted} = own;
    const columns = columnsOf(own.rowKeys[0]!);
    const isWanted = interest.byKey(table, columns);
    const rowKeys = isWanted
      ? own.rowKeys.filter(text => isWanted(JSON.parse(text) as StoredRow))
      : own.rowKeys;
    for (let at = 0; at < rowKeys.length; at += CHUNK) {
      const some = rowKeys.slice(at, at + CHUNK);
      const before = readStored(previous, table, columns, some);
      const after = readStored(current, table, columns, some);
      for (const [i, rowKey] of some.entries()) {
        const old = before[i] ?? null;
        const now = deleted.has(rowKey) ? null : (after[i] ?? null);
        if (old || now) rows.push({table, old, new: now});
      }
    }
  }
  return {rows, wholeTables, schemaChanged, touchedTables};
};

/** The log's entries, but for those of tables with too many: they are put into `whole`. */
const entriesSince = (current: Snapshot, from: Version, whole: Set<string>): LogRow[] => {
  const read = (where: string, limit: number, ...params: string[]) =>
    current
      .prepare(`SELECT "table", rowKey, op ${NEWER}${where} ORDER BY stateVersion, pos LIMIT ${limit}`)
      .raw(false)
      .all(from, ...params) as LogRow[];
  const entries = read('', MOST_ROWS + 1);
  if (entries.length <= MOST_ROWS) return entries;
  const counts = current.prepare(`SELECT "table", count(*) ${NEWER} GROUP BY "table"`).raw().all(from) as [
    string,
    number,
  ][];
  const few = counts
    .filter(([table, count]) => count <= MOST_ROWS || !whole.add(table))
    .map(([table]) => table);
  return [
    ...read(` AND op IN ('t', 'r')`, -1),
    ...read(
      " AND op NOT IN ('t', 'r') AND \"table\" IN (SELECT value FROM json_each(?))",
      -1,
      JSON.stringify(few),
    ),
  ];
};

const columnsOf = (rowKey: string): string[] => Object.keys(JSON.parse(rowKey) as object);

const INDEX = '_0_index';

/** Rows by their keys, in the order of the keys; with holes where there is none. */
const readStored = (
  snapshot: Snapshot,
  table: string,
  columns: readonly string[],
  rowKeys: readonly string[],
): StoredRow[] => {
  // SQLite reads the keys: JS would round big integers.
  const match = columns.map(name => `t.${ident(name)} = k.value->>${literal(name)}`).join(' AND ');
  const found = snapshot
    .prepare(`SELECT t.*, k.key AS ${INDEX} FROM json_each(?) k CROSS JOIN ${ident(table)} t ON ${match}`)
    .raw(false)
    .all(`[${rowKeys.join()}]`) as (Record<string, SqliteValue> & {[INDEX]: number})[];
  const rows: StoredRow[] = [];
  for (const row of found) rows[row[INDEX]] = row;
  return rows;
};

/** JSON array text of some columns of a stored row, equal to SQLite's own; null if any is null. */
export const storedTuple = (row: StoredRow, columns: readonly string[]): string | null => {
  let text = '[';
  for (const name of columns) {
    const value = row[name] ?? null;
    if (value === null) return null;
    text += `${text.length > 1 ? ',' : ''}${valueText(value)}`;
  }
  return `${text}]`;
};

export const byTable = (changes: readonly RowChange[]): Map<string, RowChange[]> => {
  const tables = new Map<string, RowChange[]>();
  for (const change of changes) {
    const list = tables.get(change.table);
    if (list) list.push(change);
    else tables.set(change.table, [change]);
  }
  return tables;
};
