import type {Database, Statement} from 'better-sqlite3';
import {ident} from '../pg/identifier.ts';
import type {Version} from '../pg/lsn.ts';
import {identityKey, liteTableName} from '../pg/published-schema.ts';
import type {Relation} from '../pgoutput/messages.ts';
import type {BackfillJobs} from '../replica/backfill-jobs.ts';
import {type ChangeLogWriter, rowKeyText} from '../replica/log-changes.ts';
import {type SqliteValue, VERSION_COLUMN} from '../replica/table-spec.ts';
import type {RelationMap} from './map-relation.ts';
import {RowUpdater} from './row-updater.ts';
import type {SchemaTracker} from './schema-tracker.ts';

export interface ApplierTarget {
  readonly db: Database;
  readonly log: ChangeLogWriter;
  readonly jobs: BackfillJobs;
  readonly tracker: SchemaTracker;
}

/** Values of a row as they arrive, by the relation's columns; undefined where the stream left a value out as unchanged. */
export type Values<T> = readonly (T | null | undefined)[];

/**
 * Writes the changes of one upstream table into its SQLite twin and the change log (replication.md §3.7). Made for one
 * relation message and one state of the schema. Values are of type `T` until the map has read them: PostgreSQL's text, or
 * what the change log in PostgreSQL holds.
 */
export class TableApplier<T = string> {
  readonly name: string;
  readonly #target: ApplierTarget;
  readonly #relation: Relation;
  readonly #map: RelationMap<T>;
  /** Positions in the relation of the columns that are mirrored. */
  readonly #columns: readonly number[];
  /** Positions of the key columns, sorted by their present names; empty: rows cannot be addressed. */
  readonly #key: readonly number[];
  readonly #keyNames: readonly string[];
  #relationJson: string | null = null;
  /** Names of the columns as JSON objects begin their values. */
  readonly #labels: string[] = [];
  /** Columns that are hidden until a backfill is through with them. */
  readonly #hidden: ReadonlySet<string>;
  readonly #backfilling: boolean;
  readonly #insert: Statement;
  readonly #delete: Statement | null;
  readonly #truncate: Statement;
  #updater: RowUpdater | null = null;

  constructor(target: ApplierTarget, relation: Relation, map: RelationMap<T>) {
    this.#target = target;
    this.#relation = relation;
    this.#map = map;
    this.name = liteTableName(map.table);
    this.#columns = map.columns.flatMap((column, i) => (column ? [i] : []));
    const sent = relation.columns.flatMap((column, i) => (column.isKey && map.columns[i] ? [i] : []));
    const known = identityKey(target.tracker.schema, map.table).map(name =>
      map.columns.findIndex(column => column?.name === name),
    );
    // With identity FULL every column is marked; the key is then the one that queries use.
    const key = relation.replicaIdentity !== 'f' && sent.length ? sent : known.includes(-1) ? [] : known;
    this.#key = [...key].sort((a, b) => (this.#nameOf(a) < this.#nameOf(b) ? -1 : 1));
    this.#keyNames = this.#key.map(i => this.#nameOf(i));
    const job = target.jobs.get(map.table.oid);
    this.#backfilling = job !== undefined;
    this.#hidden = new Set(job?.hidden);
    const table = ident(this.name);
    const names = [...this.#columns.map(i => this.#nameOf(i)), VERSION_COLUMN].map(ident);
    this.#insert = target.db.prepare(
      `INSERT OR REPLACE INTO ${table} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`,
    );
    this.#delete = this.#key.length
      ? target.db.prepare(`DELETE FROM ${table} WHERE ${this.#whereKey()}`)
      : null;
    this.#truncate = target.db.prepare(`DELETE FROM ${table}`);
  }

  insert(tuple: Values<T>, version: Version): void {
    const row = this.#values(tuple);
    this.#insert.run(...this.#columns.map(i => row[i]!), version);
    if (this.#key.length) this.#logSet(this.#keyText(row), this.#columns);
  }

  /** `old`: the key columns of a row whose key changed or, with identity FULL, all of the row; null otherwise. */
  update(change: {readonly old: Values<T> | null; readonly new: Values<T>}, version: Version): void {
    const tuple = completed(change.new, change.old);
    const row = this.#values(tuple);
    const written = tuple.includes(undefined)
      ? this.#columns.filter(i => tuple[i] !== undefined)
      : this.#columns;
    if (!this.#key.length) return this.#updateKeyless(change, row, version);
    const oldKey = change.old ? this.#key.map(i => this.#value(change.old!, i)) : this.#key.map(i => row[i]!);
    const oldText = rowKeyText(this.#keyNames, oldKey);
    const newText = change.old ? this.#keyText(row) : oldText;
    const sameKey = oldText === newText;
    const complete = written.length === this.#columns.length;
    this.#updater ??= new RowUpdater(
      this.#target.db,
      this.name,
      this.#map.columns.map(column => column?.name ?? ''),
      this.#keyNames,
    );
    const found = this.#updater.update(written, row, version, oldKey, sameKey);
    if (!found) {
      // What the stream left out only the table has: it is read again.
      if (!complete) this.#reread();
      this.#insert.run(...this.#columns.map(i => row[i] ?? null), version);
    }
    if (!sameKey) {
      this.#target.log.delete(this.name, oldText);
      // A backfill knows the row by its old key and would not find what was left out. In a table that is new altogether a
      // row that is there is complete.
      const known = found && this.#hidden.size === this.#map.table.columns.length;
      if (!complete && this.#backfilling && !known) this.#target.jobs.restart(this.#map.table.oid, version);
    }
    this.#logSet(newText, written);
  }

  delete(old: Values<T>, version: Version): void {
    if (!this.#key.length) return this.#deleteKeyless(old, version);
    const key = this.#key.map(i => this.#value(old, i));
    this.#delete!.run(...key);
    this.#target.log.delete(this.name, rowKeyText(this.#keyNames, key));
  }

  truncate(version: Version): void {
    this.#truncate.run();
    this.#target.log.truncate(this.name);
    this.#target.tracker.truncated.add(this.#map.table.oid);
    if (this.#backfilling) this.#target.jobs.restart(this.#map.table.oid, version);
  }

  /** A row as upstream sees it, for the change log in PostgreSQL: column → converted value. */
  toJson(tuple: Values<T>): string {
    return this.#json(tuple, this.#columns);
  }

  /** Names of the columns that an update left out as unchanged. */
  unchanged(tuple: Values<T>): readonly string[] {
    return this.#columns.filter(i => tuple[i] === undefined).map(i => this.#nameOf(i));
  }

  keyJson(tuple: Values<T>): string {
    const {length} = this.#key;
    return this.#json(tuple, length ? this.#columns.filter(i => this.#key.includes(i)) : this.#columns);
  }

  #json(tuple: Values<T>, columns: readonly number[]): string {
    let text = '{';
    for (const i of columns) {
      if (tuple[i] === undefined) continue;
      this.#labels[i] ??= `${JSON.stringify(this.#nameOf(i))}:`;
      text += (text.length > 1 ? ',' : '') + this.#labels[i] + valueJson(this.#value(tuple, i));
    }
    return `${text}}`;
  }

  /** The relation as change-log entries name it. */
  get relationJson(): string {
    this.#relationJson ??= this.#describe();
    return this.#relationJson;
  }

  #describe(): string {
    const {schema, name} = this.#map.table;
    const type = {d: 'default', n: 'nothing', f: 'full', i: 'index'}[this.#relation.replicaIdentity];
    const rowKey = {columns: this.#keyNames, type: type ?? 'default'};
    return JSON.stringify({schema, name, rowKey, ...(this.#map.uncertain ? {uncertain: true} : {})});
  }

  /** No key addresses the row (identity FULL): one row that equals the old one in all columns is meant. */
  #updateKeyless(
    change: {readonly old: Values<T> | null},
    row: readonly SqliteValue[],
    version: Version,
  ): void {
    if (change.old) this.#deleteKeyless(change.old, version);
    this.#insert.run(...this.#columns.map(i => row[i] ?? null), version);
  }

  #deleteKeyless(old: Values<T>, version: Version): void {
    const same = this.#columns.map(i => `${ident(this.#nameOf(i))} IS ?`).join(' AND ');
    const table = ident(this.name);
    const {changes} = this.#target.db
      .prepare(
        `DELETE FROM ${table} WHERE _rowid_ = (SELECT _rowid_ FROM ${table} WHERE ${same || 'true'} LIMIT 1)`,
      )
      .run(...this.#columns.map(i => this.#value(old, i)));
    if (changes === 0 && this.#backfilling) this.#target.jobs.restart(this.#map.table.oid, version);
  }

  #logSet(key: string, written: readonly number[]): void {
    if (!this.#backfilling) return this.#target.log.set(this.name, key);
    this.#target.log.setColumns(
      this.name,
      key,
      written.map(i => this.#nameOf(i)),
    );
  }

  #reread(): void {
    const {jobs, tracker} = this.#target;
    const {table} = this.#map;
    const hiddenOnly = this.#hidden.size === table.columns.length;
    if (!hiddenOnly && tracker.table(table.oid)) jobs.refill(table);
  }

  #nameOf(i: number): string {
    return this.#map.columns[i]!.name;
  }

  #values(tuple: Values<T>): SqliteValue[] {
    const row: SqliteValue[] = new Array(tuple.length);
    for (const i of this.#columns) row[i] = this.#value(tuple, i);
    return row;
  }

  #value(tuple: Values<T>, i: number): SqliteValue {
    const value = tuple[i];
    return value === null || value === undefined ? null : this.#map.columns[i]!.read(value);
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
}

/** With an old row (identity FULL), unchanged TOAST values are found there. */
export const completed = <T>(tuple: Values<T>, old: Values<T> | null): Values<T> =>
  old ? tuple.map((value, i) => (value === undefined ? (old[i] ?? undefined) : value)) : tuple;

/** Of change-log entries: big integers bare, infinities as numbers out of range, bytes as PostgreSQL's hex. */
export const valueJson = (value: SqliteValue): string => {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value === null) return 'null';
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'number') return `"\\\\x${value.toString('hex')}"`;
  if (Object.is(value, -0)) return '-0.0';
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'null' : value > 0 ? '9.0e+999' : '-9.0e+999';
};
