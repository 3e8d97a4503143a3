import {isUtf8} from 'node:buffer';
import {unescapeField} from '../pg/copy-text.ts';
import type {Version} from '../pg/lsn.ts';
import type {PublishedTable} from '../pg/published-schema.ts';
import {affinity, type ColumnCodec, codecFor} from '../pg/types.ts';
import {WholeLines} from '../pg/whole-lines.ts';
import type {PageFile} from '../sqlite-file/page-file.ts';
import {RecordBuffer} from '../sqlite-file/record.ts';
import {TableTree} from '../sqlite-file/table-tree.ts';

const TAB = 9;
const NEWLINE = 10;
const BACKSLASH = 92;
const MINUS = 45;
const DIGIT_0 = 48;
const DIGIT_9 = 57;
/** After a backslash: no value. */
const NULL_MARK = 78;
/** What the bytes after a backslash stand for, unless for themselves: \b \f \n \r \t \v. */
const ESCAPED = new Map([
  [98, 8],
  [102, 12],
  [110, 10],
  [114, 13],
  [116, 9],
  [118, 11],
]);

/**
 * Puts the field at `at` of `lines` into the record; `ascii` is the same with a character for each byte.
 * @returns where the field ends.
 */
type Field = (lines: Buffer, at: number, ascii: string) => number;

/**
 * Writes what COPY sends of a table as pages of the replica: texts, which are most of it, go from one buffer to the other
 * byte by byte and are never strings. `_0_version` follows the published columns, as in the table.
 */
export class CopiedTable {
  readonly #lines = new WholeLines();
  readonly #tree: TableTree;
  readonly #record: RecordBuffer;
  readonly #fields: readonly Field[];
  readonly #version: Buffer;

  /** @param root of the table, which is empty. */
  constructor(file: PageFile, root: number, table: PublishedTable, version: Version) {
    this.#tree = new TableTree(file, root);
    this.#record = new RecordBuffer(table.columns.length + 1);
    this.#fields = table.columns.map(column => fieldOf(codecFor(column), this.#record));
    this.#version = Buffer.from(`${version}\n`);
  }

  /** Takes chunks of any size. @returns the number of rows that are complete by it. */
  write(chunk: Buffer): number {
    const whole = this.#lines.cut(chunk);
    if (!whole) return 0;
    // A database without an encoding holds what it was given; as text SQLite has only UTF-8, and the stream is read so as well.
    const lines = isUtf8(whole) ? whole : Buffer.from(whole.toString());
    const ascii = lines.toString('latin1');
    const record = this.#record;
    let rows = 0;
    for (let at = 0; at < lines.length; rows++) {
      record.begin();
      // After each field there is a tab, or after the last a newline.
      for (const field of this.#fields) at = field(lines, at, ascii) + 1;
      copyText(this.#version, 0, record);
      this.#tree.append(record);
    }
    return rows;
  }

  /** Completes the table. @throws StreamUndecodable if the stream ended within a row. */
  finish(): void {
    this.#lines.finish();
    this.#tree.finish();
  }
}

const fieldOf = (codec: ColumnCodec, record: RecordBuffer): Field => {
  if (codec.verbatim) return (lines, at) => copyText(lines, at, record);
  const other = convertedField(codec, record);
  if (codec.gives === 'text' || affinity(codec.declaredType) !== 'integer') return other;
  return (lines, at, ascii) => {
    const end = copyInteger(lines, at, record);
    return end < 0 ? other(lines, at, ascii) : end;
  };
};

/** By the column's own conversion. Of what becomes no text all is ASCII. */
const convertedField =
  ({gives, fromText}: ColumnCodec, record: RecordBuffer): Field =>
  (lines, at, ascii) => {
    let end = at;
    while (lines[end] !== TAB && lines[end] !== NEWLINE) end++;
    const text = gives === 'text' ? lines.toString('utf8', at, end) : ascii.slice(at, end);
    const value = text === '\\N' ? null : fromText(text.includes('\\') ? unescapeField(text) : text);
    if (typeof value === 'number') record.number(value);
    else if (typeof value === 'string') record.text(value);
    else if (typeof value === 'bigint') record.bigint(value);
    else if (value) record.blob(value);
    else record.null();
    return end;
  };

/** @returns −1 for NULL and for more digits than a number holds for certain. */
const copyInteger = (lines: Buffer, from: number, record: RecordBuffer): number => {
  const negative = lines[from] === MINUS;
  let at = negative ? from + 1 : from;
  let value = 0;
  for (; lines[at]! >= DIGIT_0; at++) {
    if (lines[at]! > DIGIT_9 || at - from === 15) return -1;
    value = value * 10 + lines[at]! - DIGIT_0;
  }
  record.number(negative ? -value : value);
  return at;
};

const copyText = (lines: Buffer, from: number, record: RecordBuffer): number => {
  if (lines[from] === BACKSLASH && lines[from + 1] === NULL_MARK) {
    record.null();
    return from + 2;
  }
  const begin = record.end;
  let {bytes, end} = record;
  let at = from;
  for (;;) {
    let byte = lines[at]!;
    // Almost always neither a tab, nor a newline, nor a backslash.
    if (byte < 11 && (byte === TAB || byte === NEWLINE)) break;
    if (byte === BACKSLASH) {
      const escaped = lines[++at]!;
      byte = ESCAPED.get(escaped) ?? escaped;
    }
    if (end === bytes.length) {
      record.end = end;
      record.reserve(1);
      ({bytes} = record);
    }
    bytes[end++] = byte;
    at++;
  }
  record.end = end;
  record.endText(begin);
  return at;
};
