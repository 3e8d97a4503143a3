import {type ColumnType, codecFor} from '../pg/types.ts';
import type {SqliteValue} from '../replica/table-spec.ts';

/** A value of a change-log entry, as `parseEntry` leaves it: integers of 16 digits and more are text. */
export type EntryValue = string | number;

const LONG_INTEGER = /-?\d{16,}(?![\d.eE])/;
/** A string, which stays as it is, or such an integer outside of one. */
const STRING_OR_LONG_INTEGER = /"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g;

/** Parses a change-log entry. Integers that a double might not hold become strings. @throws SyntaxError. */
export const parseEntry = (change: string): unknown =>
  JSON.parse(
    LONG_INTEGER.test(change)
      ? change.replace(STRING_OR_LONG_INTEGER, token => (token[0] === '"' ? token : `"${token}"`))
      : change,
  );

/** What SQLite stores for a value of this column: the inverse of how entries are written. */
export const readJson = (column: ColumnType): ((value: EntryValue) => SqliteValue) =>
  READERS[codecFor(column).gives];

const READERS = {
  text: (value: EntryValue) => value,
  number: (value: EntryValue) => Number(value),
  integer: (value: EntryValue) => (typeof value === 'number' ? value : BigInt(value)),
  bytes: (value: EntryValue) => Buffer.from(String(value).slice(2), 'hex'),
} as const;
