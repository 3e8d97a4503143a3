import Database from '../replica/sqlite.ts';
import {VERSION_COLUMN} from '../replica/table-spec.ts';
import {type ColumnStrings, redactSchema} from './column-strings.ts';
import type {CopiedValue, ReplicaLine} from './copy-replica.ts';
import {jsonFields} from './json-fields.ts';
import {mapStrings, type Strings, type Word} from './map-strings.ts';

/** A column with its default in an SQL text of ours: name, type, and a literal. */
const DEFAULT = /("(?:[^"]|"")*" "(?:[^"]|"")*") DEFAULT ('(?:[^']|'')*'|[^\s,)]+)/g;

/** Rewrites the values in the lines of one copied replica, in order. Close it when done. */
export class ReplicaRewriter {
  /** Where the tables are created, to know their columns. */
  readonly #db = new Database(':memory:');
  readonly #columns = new Map<string, readonly string[]>();
  readonly #strings: ColumnStrings;
  readonly #word: Word;

  constructor(strings: ColumnStrings, word: Word) {
    this.#strings = strings;
    this.#word = word;
  }

  rewrite(line: ReplicaLine): ReplicaLine {
    if ('sql' in line) {
      const sql = line.sql.replaceAll(DEFAULT, (all, column: string) =>
        column.startsWith(`"${VERSION_COLUMN}"`) ? all : column,
      );
      this.#db.exec(sql);
      return {sql};
    }
    const columns = this.#columnsOf(line.into);
    const map = line.into.startsWith('_zero.')
      ? (value: CopiedValue, i: number) => this.#ownValue(line, columns, value, i)
      : (value: CopiedValue, i: number) =>
          columns[i] === VERSION_COLUMN
            ? value
            : mapStored(this.#strings.ofTable(line.into, columns[i]!), value, this.#word);
    return {into: line.into, values: line.values.map(map)};
  }

  close(): void {
    this.#db.close();
  }

  /** Of the tables that hold what others do, or say what they are. */
  #ownValue(
    {into, values}: Extract<ReplicaLine, {into: string}>,
    columns: readonly string[],
    value: CopiedValue,
    i: number,
  ): CopiedValue {
    if (typeof value !== 'string') return value;
    const field = `${into}.${columns[i]}`;
    if (field === '_zero.tableMetadata.upstreamMetadata' || field === '_zero.publishedSchema.current')
      return JSON.stringify(redactSchema(JSON.parse(value), this.#word));
    if (field !== '_zero.changeLog2.rowKey' || value[0] !== '{') return value;
    const table = String(values[columns.indexOf('table')]);
    const parts = [...jsonFields(value)].map(([column, text]) => {
      const kept = text[0] !== '"' || this.#strings.ofTable(table, column) === 'none';
      return `${JSON.stringify(column)}:${kept ? text : JSON.stringify(this.#word(JSON.parse(text) as string))}`;
    });
    return `{${parts.join()}}`;
  }

  #columnsOf(table: string): readonly string[] {
    let columns = this.#columns.get(table);
    if (!columns) {
      columns = this.#db.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(table) as string[];
      this.#columns.set(table, columns);
    }
    return columns;
  }
}

/** As `mapStrings`, of a value as SQLite holds it: arrays and JSON are JSON text, bytea is a blob. */
export const mapStored = (strings: Strings, value: CopiedValue, word: Word): CopiedValue => {
  if (strings === 'none' || value === null || typeof value === 'number') return value;
  if (typeof value === 'string') return mapStrings(strings === 'text' ? 'text' : 'json', value, word);
  if (!('hex' in value)) return value;
  return {hex: mapStrings('bytea', `\\x${value.hex}`, word).slice(2)};
};
