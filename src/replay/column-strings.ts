import type {PublishedColumn, PublishedSchema} from '../pg/published-schema.ts';
import {liteTableName} from '../pg/published-schema.ts';
import {codecFor, isArrayType, isEnumType} from '../pg/types.ts';
import {mapStrings, type Strings, type Word} from './map-strings.ts';

/** bool, int8, int2, int4, float4, float8, date, time, timestamp, timestamptz, timetz, numeric. */
const KEPT_OIDS = new Set([16, 20, 21, 23, 700, 701, 1082, 1083, 1114, 1184, 1266, 1700]);
const JSON_OIDS = new Set([114, 3802]);

/** Labels of enums are names of the schema; numbers, booleans and times are kept; what is unknown counts as text. */
const stringsOf = (column: PublishedColumn): Strings => {
  const base = column.dataType.replaceAll('[]', '');
  // Arrays of boxes alone are separated by something else than commas; they hold numbers.
  if (isEnumType(column) || base === 'box') return 'none';
  const {zqlType} = codecFor({
    ...column,
    dataType: base,
    typeClass: column.elementClass ?? column.typeClass,
  });
  const kept = zqlType === 'number' || zqlType === 'boolean';
  if (isArrayType(column)) return kept ? 'none' : {arrayOf: zqlType === 'json' ? 'json' : 'text'};
  if (kept) return 'none';
  if (base === 'bytea') return 'bytea';
  return zqlType === 'json' ? 'json' : 'text';
};

/** Where the strings are in each column of a recording, whose schema may change on the way. */
export class ColumnStrings {
  readonly #columns = new Map<string, Strings>();
  readonly #oids = new Map<string, number>();

  /** Every schema of the recording is told before the first value is asked for. */
  learn(schema: Pick<PublishedSchema, 'tables'>): void {
    for (const table of schema.tables) {
      this.#oids.set(liteTableName(table), table.oid);
      for (const column of table.columns) {
        const strings = stringsOf(column);
        this.#columns.set(`${table.oid} ${column.name} ${column.typeOid}`, strings);
        this.#columns.set(`${table.oid} ${column.name}`, strings);
      }
    }
  }

  /** As a relation message describes it. */
  ofRelation(oid: number, column: {readonly name: string; readonly typeOid: number}): Strings {
    const known = this.#columns.get(`${oid} ${column.name} ${column.typeOid}`);
    if (known) return known;
    if (KEPT_OIDS.has(column.typeOid)) return 'none';
    return JSON_OIDS.has(column.typeOid) ? 'json' : 'text';
  }

  ofOid(oid: number, column: string): Strings {
    return this.#columns.get(`${oid} ${column}`) ?? 'text';
  }

  /** By the table's name in SQLite. */
  ofTable(table: string, column: string): Strings {
    const oid = this.#oids.get(table);
    return oid === undefined ? 'text' : this.ofOid(oid, column);
  }
}

/**
 * A schema in any form that quotes PostgreSQL's catalog, with the values in it replaced: what older rows hold in a column,
 * and the texts of defaults and row filters.
 */
export const redactSchema = (value: unknown, word: Word): unknown => {
  if (Array.isArray(value)) return value.map(item => redactSchema(item, word));
  if (value === null || typeof value !== 'object') return value;
  const fields = Object.entries(value).map(([name, field]): [string, unknown] => {
    if (typeof field !== 'string') return [name, redactSchema(field, word)];
    if (name === 'dflt' || name === 'rowFilter') return [name, word(field)];
    if (name === 'missing') return [name, mapStrings(stringsOf(value as PublishedColumn), field, word)];
    return [name, field];
  });
  return Object.fromEntries(fields);
};
