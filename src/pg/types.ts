import type {SqliteValue, ZqlType} from '../replica/table-spec.ts';
import {arrayToJson} from './array-text.ts';
import {dateToMs, timestampToMs, timeToMs, timetzToMs} from './datetime.ts';
import type {PublishedColumn} from './published-schema.ts';

/**
 * How one column travels: the single conversion shared by COPY and the WAL stream (replication.md §2.4, §2.5).
 *
 * Values that JSON has no number for: ±Infinity is stored as such and goes over the wire as ±9.0e+999, which every
 * JavaScript parser reads as ±Infinity, so that order and filters agree on both sides. NaN, which neither SQLite nor JSON
 * has, becomes NULL. A numeric is the nearest double. None of these ever ends replication.
 */
export interface ColumnCodec {
  /** null: replicated, not synced. */
  readonly zqlType: ZqlType | null;
  /** SQLite's declared type: steers affinity so that no value is rewritten. */
  readonly declaredType: string;
  /** PostgreSQL's text output → what SQLite stores. */
  readonly fromText: (text: string) => SqliteValue;
  /** What `fromText` gives: strings · numbers · numbers or bigints · buffers. */
  readonly gives: 'text' | 'number' | 'integer' | 'bytes';
  /** `fromText` gives what it gets. */
  readonly verbatim: boolean;
}

export type ColumnType = Pick<PublishedColumn, 'dataType' | 'typeClass' | 'elementClass' | 'notNull'>;

/** Types whose values SQLite may hold as REAL although they are whole. */
export const MAYBE_REAL: ReadonlySet<string> = new Set([
  'float4',
  'float8',
  'numeric',
  'date',
  'timestamp',
  'timestamptz',
  'time',
  'timetz',
]);
const NUMBERS = new Set(['int2', 'int4', 'int8', ...MAYBE_REAL]);
const STRINGS = new Set([
  'text',
  'varchar',
  'bpchar',
  'char',
  'uuid',
  'inet',
  'cidr',
  'macaddr',
  'macaddr8',
  'pg_lsn',
  'ean13',
  'isbn',
  'isbn13',
  'ismn',
  'ismn13',
  'issn',
  'issn13',
  'upc',
]);

/** The ZQL type of an upstream type by its catalog name; null if ZQL has none. */
export const zqlTypeOf = (type: {dataType: string; isEnum: boolean; isArray: boolean}): ZqlType | null => {
  if (type.isArray) return 'json';
  if (type.isEnum) return 'string';
  const name = type.dataType.toLowerCase();
  if (name === 'bool') return 'boolean';
  if (NUMBERS.has(name)) return 'number';
  if (STRINGS.has(name)) return 'string';
  return name === 'json' || name === 'jsonb' ? 'json' : null;
};

/** What a declared type says, for replicas without column metadata; inverse of `codecFor(…).declaredType`. */
export const parseDeclaredType = (
  declared: string,
): {upstreamType: string; notNull: boolean; isEnum: boolean; isArray: boolean} => {
  const [name = '', ...attributes] = declared.replaceAll('[]', '').split('|');
  const brackets = declared.match(/\[\]/g)?.length ?? 0;
  const isArray = brackets > 0 || attributes.includes('TEXT_ARRAY');
  return {
    upstreamType: name + '[]'.repeat(isArray ? Math.max(1, brackets) : 0),
    notNull: attributes.includes('NOT_NULL'),
    isEnum: attributes.includes('TEXT_ENUM'),
    isArray,
  };
};

export const isArrayType = (column: Pick<PublishedColumn, 'dataType'>): boolean =>
  column.dataType.endsWith('[]');
export const isEnumType = (column: ColumnType): boolean =>
  (isArrayType(column) ? column.elementClass : column.typeClass) === 'e';

const identity = (text: string): SqliteValue => text;

const SCALARS: Readonly<Record<string, (text: string) => SqliteValue>> = {
  bool: text => (text === 't' || text === 'true' ? 1 : 0),
  int2: Number,
  int4: Number,
  int8: text => (text.length < 16 ? Number(text) : BigInt(text)),
  float4: Number,
  float8: Number,
  numeric: Number,
  date: dateToMs,
  timestamp: timestampToMs,
  timestamptz: timestampToMs,
  time: timeToMs,
  timetz: timetzToMs,
  bytea: text => Buffer.from(text.slice(2), 'hex'),
};

/** Never throws for a type: what ZQL does not know is kept as PostgreSQL's text and not synced. */
export const codecFor = (column: ColumnType): ColumnCodec => {
  const isArray = isArrayType(column);
  const isEnum = isEnumType(column);
  const base = column.dataType.replaceAll('[]', '');
  const scalar = isEnum ? identity : (SCALARS[base] ?? identity);
  // A composite may carry the name of a base type in another schema; only base types are converted.
  const convertible = isArray || isEnum || column.typeClass === 'b';
  const zqlType = convertible ? zqlTypeOf({dataType: base, isEnum, isArray}) : null;
  const fromText = isArray
    ? (text: string) => arrayToJson(text, isEnum || column.elementClass !== 'b' ? 'text' : base)
    : convertible
      ? scalar
      : identity;
  const gives =
    isArray || fromText === identity
      ? 'text'
      : base === 'bytea'
        ? 'bytes'
        : base === 'int8'
          ? 'integer'
          : 'number';
  return {
    zqlType,
    declaredType: declaredType(column, {isArray, isEnum, base, fromText}),
    fromText,
    gives,
    verbatim: fromText === identity,
  };
};

/** Columns of equal kind hold their values alike, so that one may become the other in place (replication.md §4.4). */
export const storageKind = (column: ColumnType): string => {
  const {zqlType, declaredType} = codecFor(column);
  return `${zqlType} ${affinity(declaredType)}`;
};

/** SQLite's rules, in their order (https://sqlite.org/datatype3.html §3.1). */
export const affinity = (declared: string): string =>
  /int/i.test(declared)
    ? 'integer'
    : /char|clob|text/i.test(declared)
      ? 'text'
      : /blob/i.test(declared)
        ? 'blob'
        : /real|floa|doub/i.test(declared)
          ? 'real'
          : 'numeric';

const declaredType = (
  column: ColumnType,
  {
    isArray,
    isEnum,
    base,
    fromText,
  }: {isArray: boolean; isEnum: boolean; base: string; fromText: (text: string) => SqliteValue},
): string => {
  const storedAsText = isArray || fromText === identity;
  // SQLite gives any type whose name contains INT integer affinity, whatever follows; the metadata keeps the name.
  const name = storedAsText && /int/i.test(base) && !isArray ? 'text' : base;
  const dimensions = '[]'.repeat(column.dataType.match(/\[\]/g)?.length ?? 0);
  const notNull = column.notNull ? '|NOT_NULL' : '';
  const marks = `${isEnum ? '|TEXT_ENUM' : ''}${isArray ? '|TEXT_ARRAY' : ''}`;
  const affinity = storedAsText && !marks && !/char|clob|text/i.test(name) ? '|TEXT' : '';
  return `${name}${dimensions}${notNull}${marks}${affinity}`;
};
