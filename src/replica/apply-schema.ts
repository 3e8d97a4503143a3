import type {Database} from 'better-sqlite3';
import {ident, literal} from '../pg/identifier.ts';
import type {Version} from '../pg/lsn.ts';
import {
  identityKey,
  liteTableName,
  type PublishedColumn,
  type PublishedSchema,
  type PublishedTable,
} from '../pg/published-schema.ts';
import type {SchemaChange} from '../pg/schema-diff.ts';
import {codecFor} from '../pg/types.ts';
import type {BackfillJobs} from './backfill-jobs.ts';
import {createIndex, createTable, liteIndexName, recordColumn, recordTable} from './create-table.ts';
import type {ChangeLogWriter} from './log-changes.ts';
import {noteShape, storeSchema} from './stored-schema.ts';
import type {SqliteValue} from './table-spec.ts';

export interface SchemaTarget {
  readonly db: Database;
  readonly log: ChangeLogWriter;
  readonly jobs: BackfillJobs;
}

/**
 * Gives the replica the shape of `next`, within the caller's transaction (replication.md §4.4). Tables that queries see
 * differently get a reset entry in the change log, and where rows look different a new `minRowVersion`.
 * @returns the schema now mirrored: `next`, less unique indexes that the rows do not meet yet.
 */
export const applySchema = (
  target: SchemaTarget,
  next: PublishedSchema,
  changes: readonly SchemaChange[],
  version: Version,
): PublishedSchema => {
  const run = new SchemaRun(target, changes, version);
  for (const change of changes) run.apply(change);
  run.settle(next);
  const mirrored = {...next, indexes: next.indexes.filter(index => !run.unmet.has(liteIndexName(index)))};
  storeSchema(target.db, mirrored);
  if (changes.length) noteShape(target.db, version);
  return mirrored;
};

class SchemaRun {
  /** Unique indexes that could not be made: the stream has not brought the rows into that state yet. */
  readonly unmet = new Set<string>();
  readonly #db: Database;
  readonly #log: ChangeLogWriter;
  readonly #jobs: BackfillJobs;
  readonly #version: Version;
  /** Names still held by tables and columns that a later change moves away. */
  readonly #parked = new Map<string, string>();
  readonly #reset = new Set<string>();
  readonly #bumped = new Set<number>();
  readonly #touched = new Set<number>();

  constructor({db, log, jobs}: SchemaTarget, changes: readonly SchemaChange[], version: Version) {
    this.#db = db;
    this.#log = log;
    this.#jobs = jobs;
    this.#version = version;
    this.#park(changes);
  }

  apply(change: SchemaChange): void {
    if ('table' in change) this.#touched.add(change.table.oid);
    switch (change.tag) {
      case 'drop-index':
        this.#db.exec(`DROP INDEX IF EXISTS ${ident(liteIndexName(change.index))}`);
        // A key may be gone.
        if (change.index.unique) this.#reset.add(tableOfIndex(change.index));
        return;
      case 'drop-table':
        return this.#dropTable(change.table);
      case 'rename-table':
        return this.#renameTable(change.old, change.new);
      case 'update-table-metadata':
        this.#touched.add(change.new.oid);
        // Rows are addressed by other columns from now on: older entries would not be found by them.
        this.#forgetEntries(liteTableName(change.new));
        this.#reset.add(liteTableName(change.new));
        return;
      case 'drop-column': {
        const {table, column} = change;
        this.#alter(table, `DROP COLUMN ${ident(column.name)}`);
        this.#jobs.forgetColumn(table, column.name);
        return this.#bump(table);
      }
      case 'update-column':
        return this.#updateColumn(change.table, change.old, change.new);
      case 'add-column':
        return this.#addColumn(change.table, change.column, change.backfill);
      case 'create-table':
        createTable(this.#db, change.table);
        if (change.backfill)
          this.#jobs.hide(
            change.table,
            change.table.columns.map(column => column.name),
          );
        else this.#reset.add(liteTableName(change.table));
        return;
      case 'create-index':
        return this.#createIndex(change);
      case 'refill-table':
        return this.#jobs.refill(change.table);
    }
  }

  /** Metadata, marks and log entries that follow from all changes together. */
  settle(next: PublishedSchema): void {
    for (const table of next.tables) {
      const name = liteTableName(table);
      // Statistics and files change without a change of shape; what is recorded is always the newest.
      recordTable(this.#db, table);
      if (this.#touched.has(table.oid)) {
        this.#jobs.restart(table.oid, this.#version);
        const hidden = new Set(this.#jobs.get(table.oid)?.hidden);
        // Rows cannot be found by a key that is not filled: they are all read again.
        if (hidden.size < table.columns.length && identityKey(next, table).some(name => hidden.has(name)))
          this.#jobs.refill(table);
        this.#db.prepare('DELETE FROM "_zero.column_metadata" WHERE table_name = ?').run(name);
        for (const column of table.columns) recordColumn(this.#db, name, column, hidden.has(column.name));
      }
      if (this.#bumped.has(table.oid)) {
        this.#reset.add(name);
        this.#db
          .prepare('UPDATE "_zero.tableMetadata" SET minRowVersion = ? WHERE "schema" = ? AND "table" = ?')
          .run(this.#version, table.schema, table.name);
      }
    }
    for (const name of this.#reset) this.#log.reset(name);
  }

  #dropTable(table: PublishedTable): void {
    const name = liteTableName(table);
    this.#db.exec(`DROP TABLE IF EXISTS ${ident(name)}`);
    this.#db.prepare('DELETE FROM "_zero.column_metadata" WHERE table_name = ?').run(name);
    this.#db
      .prepare('DELETE FROM "_zero.tableMetadata" WHERE "schema" = ? AND "table" = ?')
      .run(table.schema, table.name);
    this.#jobs.forget(table);
    this.#forgetEntries(name);
    this.#reset.add(name);
  }

  #renameTable(old: PublishedTable, table: PublishedTable): void {
    const [from, to] = [liteTableName(old), liteTableName(table)];
    this.#touched.add(table.oid);
    this.#db.exec(`ALTER TABLE ${ident(this.#parked.get(from) ?? from)} RENAME TO ${ident(to)}`);
    this.#db.prepare('DELETE FROM "_zero.column_metadata" WHERE table_name = ?').run(from);
    this.#db
      .prepare('DELETE FROM "_zero.tableMetadata" WHERE "schema" = ? AND "table" = ?')
      .run(old.schema, old.name);
    this.#jobs.rename(old, table);
    this.#forgetEntries(from);
    this.#reset.add(from);
    this.#bump(table);
  }

  #updateColumn(table: PublishedTable, old: PublishedColumn, column: PublishedColumn): void {
    if (old.name !== column.name) {
      const holder = this.#db
        .prepare('SELECT name FROM pragma_table_info(?) WHERE name = ? COLLATE NOCASE')
        .pluck()
        .get(liteTableName(table), column.name) as string | undefined;
      // Names may change places: where the new one is still taken, its holder steps aside first.
      if (holder !== undefined) {
        const aside = `_zero.parked.${holder}`;
        this.#alter(table, `RENAME COLUMN ${ident(holder)} TO ${ident(aside)}`);
        this.#parked.set(`${table.oid}.${holder}`, aside);
      }
      const from = this.#parked.get(`${table.oid}.${old.name}`) ?? old.name;
      this.#alter(table, `RENAME COLUMN ${ident(from)} TO ${ident(column.name)}`);
      this.#jobs.renameColumn(table, old.name, column.name);
      // The old name may be part of keys.
      this.#forgetEntries(liteTableName(table));
      this.#bump(table);
    }
    // A type that clients see, or a key that becomes possible or impossible.
    if (old.notNull !== column.notNull || old.dataType !== column.dataType)
      this.#reset.add(liteTableName(table));
  }

  #addColumn(table: PublishedTable, column: PublishedColumn, backfill: boolean): void {
    const {declaredType, fromText} = codecFor(column);
    const missing = backfill || column.missing === null ? null : fromText(column.missing);
    const fallback = missing === null ? '' : ` DEFAULT ${sqlLiteral(missing)}`;
    this.#alter(table, `ADD COLUMN ${ident(column.name)} ${ident(declaredType)}${fallback}`);
    if (backfill) {
      recordColumn(this.#db, liteTableName(table), column, true);
      this.#jobs.hide(table, [column.name]);
    } else this.#bump(table);
  }

  #createIndex({index, table}: Extract<SchemaChange, {tag: 'create-index'}>): void {
    try {
      createIndex(this.#db, index);
    } catch (error) {
      if (!(error as {code?: string}).code?.startsWith('SQLITE_CONSTRAINT')) throw error;
      this.unmet.add(liteIndexName(index));
      return;
    }
    // A unique index may make the table syncable.
    if (index.unique && this.#jobs.get(table.oid)?.hidden.length !== table.columns.length)
      this.#reset.add(liteTableName(table));
  }

  #alter(table: PublishedTable, what: string): void {
    this.#touched.add(table.oid);
    this.#db.exec(`ALTER TABLE ${ident(liteTableName(table))} ${what}`);
  }

  /** Every row looks different: it counts as changed at this version without being written. */
  #bump(table: PublishedTable): void {
    this.#touched.add(table.oid);
    this.#bumped.add(table.oid);
  }

  #forgetEntries(name: string): void {
    this.#db.prepare('DELETE FROM "_zero.changeLog2" WHERE "table" = ?').run(name);
  }

  /** Tables whose names others take, or that differ from the old one in case only, step aside first. */
  #park(changes: readonly SchemaChange[]): void {
    const renames = changes.filter(change => change.tag === 'rename-table');
    const targets = new Set(renames.map(change => liteTableName(change.new).toLowerCase()));
    for (const {old} of renames) {
      const name = liteTableName(old);
      if (!targets.has(name.toLowerCase())) continue;
      const aside = `_zero.parked.${old.oid}`;
      this.#parked.set(name, aside);
      this.#db.exec(`ALTER TABLE ${ident(name)} RENAME TO ${ident(aside)}`);
    }
  }
}

const tableOfIndex = (index: {readonly schema: string; readonly tableName: string}): string =>
  liteTableName({schema: index.schema, name: index.tableName});

const sqlLiteral = (value: Exclude<SqliteValue, null>): string => {
  if (Buffer.isBuffer(value)) return `X'${value.toString('hex')}'`;
  if (typeof value === 'string') return literal(value);
  if (typeof value === 'bigint' || Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NULL' : value > 0 ? '9e999' : '-9e999';
};
