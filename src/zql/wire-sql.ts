import {ident, literal} from '../pg/identifier.ts';
import {MAYBE_REAL} from '../pg/types.ts';
import type {ColumnSpec, TableSpec} from '../replica/table-spec.ts';
import {columnOf} from './plan.ts';

/** A numeric is stored as its nearest double, so only int8 can hold what JavaScript cannot. */
const MAYBE_UNSAFE = new Set(['int8']);

/** JSON text of a row in wire form: every synced column (zql.md §4.5). Fails on an integer beyond ±(2^53 − 1), and on JSON that is nested deeper than SQLite reads it. */
export const rowJson = (table: TableSpec, alias: string): string => {
  let text = alias === 't' ? rowTexts.get(table) : undefined;
  if (text === undefined) {
    const pairs = table.columns
      .filter(column => column.zqlType !== null)
      .map(column => `${literal(column.name)}, ${wireValue(table, column, alias)}`);
    text = objectOf(pairs);
    if (alias === 't') rowTexts.set(table, text);
  }
  return text;
};

/** Columns of one json_object: SQLite takes at most 1,000 arguments, where PostgreSQL has up to 1,600 columns. */
const MAX_PAIRS = 500;

/** JSON text of an object of name and value pairs; that of a wide table is put together of several. */
const objectOf = (pairs: readonly string[]): string => {
  if (pairs.length <= MAX_PAIRS) return `json_object(${pairs.join(', ')})`;
  const parts: string[] = [];
  for (let at = 0; at < pairs.length; at += MAX_PAIRS)
    parts.push(`substr(json_object(${pairs.slice(at, at + MAX_PAIRS).join(', ')}), 2)`);
  // A negative length counts what comes before: all but the closing brace.
  const open = parts.map((part, i) => (i < parts.length - 1 ? `substr(${part}, -1, -1000000000)` : part));
  return `'{' || ${open.join(" || ',' || ")}`;
};

/** Every query needs it of its tables: made once per table and shape. */
const rowTexts = new WeakMap<TableSpec, string>();

const wireValue = (table: TableSpec, column: ColumnSpec, alias: string): string => {
  const sql = `${alias}.${ident(column.name)}`;
  switch (column.zqlType) {
    case 'boolean':
      return `json(CASE ${sql} WHEN 0 THEN 'false' WHEN 1 THEN 'true' END)`;
    case 'json':
      return `json(CASE WHEN ${sql} IS NULL OR json_valid(${sql}) THEN ${sql} ELSE zs_deep(${literal(`${table.name}.${column.name}`)}) END)`;
    case 'number':
      if (!MAYBE_UNSAFE.has(column.upstreamType)) return sql;
      return `CASE WHEN ${sql} IS NULL OR ${sql} BETWEEN -9007199254740991 AND 9007199254740991 OR typeof(${sql}) = 'real'
        THEN ${sql} ELSE zs_unsafe(${literal(`${table.name}.${column.name}`)}) END`;
    default:
      return sql;
  }
};

/** A number of a key as JS prints it: `1.0` and `1` must be the same text, and SQLite writes exponents differently (`1.0e+21`). */
const plainNumber = (column: ColumnSpec, sql: string): string =>
  MAYBE_REAL.has(column.upstreamType)
    ? `CASE WHEN ${sql} = CAST(${sql} AS INTEGER) THEN CAST(${sql} AS INTEGER) ELSE json(zs_number(${sql})) END`
    : sql;

/** The key object in wire form, columns sorted: `{"id":"i1"}`. Equal to what `rowId` makes of the same values. */
export const keyJson = (table: TableSpec, key: readonly string[], alias: string): string =>
  `json_object(${[...key]
    .sort()
    .map(name => {
      const column = columnOf(table, name);
      const sql = `${alias}.${ident(name)}`;
      const value = column.zqlType === 'boolean' ? wireValue(table, column, alias) : plainNumber(column, sql);
      return `${literal(name)}, ${value}`;
    })
    .join(', ')})`;

/**
 * A tuple of stored values as JSON array text, the identity of a correlation key; NULL if any is null, since such a key
 * matches nothing.
 */
export const tupleJson = (table: TableSpec, columns: readonly string[], alias: string): string => {
  const values = columns.map(name => plainNumber(columnOf(table, name), `${alias}.${ident(name)}`));
  const anyNull = columns.map(name => `${alias}.${ident(name)} IS NULL`).join(' OR ');
  return `CASE WHEN ${anyNull} THEN NULL ELSE json_array(${values.join(', ')}) END`;
};

/** `columns` of `alias` equal a tuple `k` of `json_each(?)`, a JSON array of arrays. Seeks an index on all columns. */
export const joinTuples = (columns: readonly string[], alias: string): string =>
  columns.map((name, i) => `${alias}.${ident(name)} = k.value->>${i}`).join(' AND ');

/** The same as a test of each row, for columns without an index. */
export const inTuples = (columns: readonly string[], alias: string): string =>
  `(${columns.map(name => `${alias}.${ident(name)}`).join(', ')}) IN
    (SELECT ${columns.map((_, i) => `value->>${i}`).join(', ')} FROM json_each(?))`;

/** JSON array of tuples already in JSON text. */
export const tupleList = (tuples: Iterable<string>): string => `[${[...tuples].join()}]`;
