import type {Database, Statement} from 'better-sqlite3';
import {SchemaChanged, StreamUndecodable} from '../errors.ts';
import {ident} from '../pg/identifier.ts';
import type {Version} from '../pg/lsn.ts';
import {liteTableName, type PublishedColumn} from '../pg/published-schema.ts';
import {codecFor} from '../pg/types.ts';
import type {Change, Relation, Tuple} from '../pgoutput/messages.ts';
import {type ChangeLogWriter, rowKeyText} from '../replica/log-changes.ts';
import {type SqliteValue, VERSION_COLUMN} from '../replica/table-spec.ts';
import {RowUpdater} from './row-updater.ts';

/** Writes the changes of one upstream table into its SQLite twin and the change log (replication.md §3.7). */
export class TableApplier {
  readonly name: string;
  readonly #db: Database;
  readonly #log: ChangeLogWriter;
  readonly #relation: Relation;
  readonly #decode: readonly ((text: string) => SqliteValue)[];
  /** Positions of the key columns, sorted by column name; empty: rows cannot be addressed. */
  readonly #key: readonly number[];
  readonly #keyNames: readonly string[];
  readonly #insert: Statement;
  readonly #delete: Statement | null;
  readonly #truncate: Statement;
  #updater: RowUpdater | null = null;

  /** @throws SchemaChanged if the relation is not what the replica was built from. */
  constructor(db: Database, log: ChangeLogWriter, relation: Relation) {
    this.#db = db;
    this.#log = log;
    this.#relation = relation;
    this.name = liteTableName(relation);
    const columns = replicatedColumns(db, relation);
    this.#decode = columns.map(column => codecFor(column).fromText);
    const names = relation.columns.map(column => column.name);
    const keyNames =
      relation.replicaIdentity === 'f'
        ? shortestKey(db, this.name, columns)
        : relation.columns.filter(column => column.isKey).map(column => column.name);
    this.#keyNames = [...keyNames].sort();
    this.#key = this.#keyNames.map(name => names.indexOf(name));
    const table = ident(this.name);
    const all = [...names, VERSION_COLUMN].map(ident).join(', ');
    this.#insert = db.prepare(
      `INSERT OR REPLACE INTO ${table} (${all}) VALUES (${[...names, ''].map(() => '?').join(', ')})`,
    );
    this.#delete = this.#key.length ? db.prepare(`DELETE FROM ${table} WHERE ${this.#whereKey()}`) : null;
    this.#truncate = db.prepare(`DELETE FROM ${table}`);
  }

  insert(tuple: Tuple, version: Version): void {
    const row = this.#values(tuple);
    this.#insert.run(...row, version);
    if (this.#key.length) this.#log.set(this.name, this.#keyText(row));
  }

  update(change: Extract<Change, {tag: 'update'}>, version: Version): void {
    this.#requireKey();
    // With an old row (identity FULL), unchanged TOAST values are found there.
    const tuple = change.new.map((value, i) =>
      value === undefined ? (change.old?.[i] ?? undefined) : value,
    );
    const row = this.#values(tuple);
    const oldKey = change.old ? this.#key.map(i => this.#value(change.old!, i)) : this.#key.map(i => row[i]!);
    const written = tuple.flatMap((value, i) => (value === undefined ? [] : [i]));
    const oldText = rowKeyText(this.#keyNames, oldKey);
    const newText = change.old ? this.#keyText(row) : oldText;
    this.#updater ??= new RowUpdater(
      this.#db,
      this.name,
      this.#relation.columns.map(column => column.name),
      this.#keyNames,
    );
    if (!this.#updater.update(written, row, version, oldKey, oldText === newText)) {
      if (written.length < row.length)
        throw new StreamUndecodable(
          `Table ${this.name} lacks a row that upstream updates; the replica has lost data.`,
        );
      this.#insert.run(...row, version);
    }
    if (oldText !== newText) this.#log.delete(this.name, oldText);
    this.#log.set(this.name, newText);
  }

  delete(old: Tuple): void {
    this.#requireKey();
    const key = this.#key.map(i => this.#value(old, i));
    this.#delete!.run(...key);
    this.#log.delete(this.name, rowKeyText(this.#keyNames, key));
  }

  truncate(): void {
    this.#truncate.run();
    this.#log.truncate(this.name);
  }

  /** A row as upstream sees it, for the change log in PostgreSQL: column → converted value. */
  toJson(tuple: Tuple): string {
    return this.#json(tuple, null);
  }

  keyJson(tuple: Tuple): string {
    return this.#json(tuple, this.#key);
  }

  #json(tuple: Tuple, columns: readonly number[] | null): string {
    let text = '{';
    for (let i = 0; i < tuple.length; i++) {
      if (tuple[i] === undefined || (columns && !columns.includes(i))) continue;
      const value = this.#value(tuple, i);
      const json =
        typeof value === 'bigint'
          ? String(value)
          : Buffer.isBuffer(value)
            ? `"\\\\x${value.toString('hex')}"`
            : typeof value === 'number' && !Number.isFinite(value)
              ? value > 0
                ? '9.0e+999'
                : value < 0
                  ? '-9.0e+999'
                  : 'null'
              : JSON.stringify(value);
      text += `${text.length > 1 ? ',' : ''}${JSON.stringify(this.#relation.columns[i]!.name)}:${json}`;
    }
    return `${text}}`;
  }

  /** The relation as change-log entries name it. */
  get relationJson(): string {
    const {schema, name, replicaIdentity} = this.#relation;
    const type = {d: 'default', n: 'nothing', f: 'full', i: 'index'}[replicaIdentity] ?? 'default';
    return JSON.stringify({schema, name, rowKey: {columns: this.#keyNames, type}});
  }

  #values(tuple: Tuple): SqliteValue[] {
    const row: SqliteValue[] = new Array(tuple.length);
    for (let i = 0; i < tuple.length; i++) row[i] = this.#value(tuple, i);
    return row;
  }

  #value(tuple: Tuple, i: number): SqliteValue {
    const text = tuple[i];
    return text === null || text === undefined ? null : this.#decode[i]!(text);
  }

  #keyText(row: readonly SqliteValue[]): string {
    return rowKeyText(
      this.#keyNames,
      this.#key.map(i => row[i]!),
    );
  }

  #whereKey(): string {
    return this.#keyNames.map(name => `${ident(name)} = ?`).join(' AND ');
  }

  #requireKey(): void {
    if (!this.#key.length)
      throw new StreamUndecodable(
        `Cannot replicate updates of table ${this.name} without a PRIMARY KEY or UNIQUE INDEX.`,
      );
  }
}

/** The published columns in the relation's order. @throws SchemaChanged if names, numbers or types differ. */
const replicatedColumns = (db: Database, relation: Relation): PublishedColumn[] => {
  const name = liteTableName(relation);
  const row = db
    .prepare<[string, string], {upstreamMetadata: string}>(
      `SELECT upstreamMetadata FROM "_zero.tableMetadata" WHERE "schema" = ? AND "table" = ?`,
    )
    .get(relation.schema, relation.name);
  if (!row) throw new SchemaChanged(`Table ${name} is new in the publication.`);
  const {relationOID, columns} = JSON.parse(row.upstreamMetadata) as {
    relationOID: number;
    columns: PublishedColumn[];
  };
  if (relationOID !== relation.oid) throw new SchemaChanged(`Table ${name} was dropped and created again.`);
  const byName = new Map(columns.map(column => [column.name, column]));
  for (const column of relation.columns) {
    const known = byName.get(column.name);
    if (!known) throw new SchemaChanged(`Column ${name}.${column.name} is new.`);
    if (known.typeOid !== column.typeOid)
      throw new SchemaChanged(`Column ${name}.${column.name} changed its type.`);
  }
  if (relation.columns.length !== columns.length)
    throw new SchemaChanged(`Columns of table ${name} were dropped.`);
  return relation.columns.map(column => byName.get(column.name)!);
};

/** Fewest columns first, then by name: the key that queries use as well (replication.md §4.6). */
const shortestKey = (db: Database, table: string, columns: readonly PublishedColumn[]): readonly string[] => {
  const notNull = new Set(columns.filter(column => column.notNull).map(column => column.name));
  const keys = db
    .prepare<[string], {columns: string}>(
      `SELECT json_group_array(i.name) AS columns FROM pragma_index_list(?) AS l, pragma_index_info(l.name) AS i
       WHERE l."unique" = 1 GROUP BY l.name`,
    )
    .all(table)
    .map(row => JSON.parse(row.columns) as string[])
    .filter(key => key.every(name => notNull.has(name)))
    .sort((a, b) => a.length - b.length || (a.join() < b.join() ? -1 : 1));
  return keys[0] ?? [];
};
