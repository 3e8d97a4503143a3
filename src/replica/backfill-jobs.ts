import type {Database} from 'better-sqlite3';
import type {Version} from '../pg/lsn.ts';
import {liteTableName, type PublishedTable} from '../pg/published-schema.ts';

/** What is to be read of one table beside the stream (replication.md §4.5). Kept in the replica until it is done. */
export interface BackfillJob {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  /** Columns that queries do not see before they are filled. */
  readonly hidden: readonly string[];
  /** True: every row is read and compared, and rows that are no longer published go. Queries see the table meanwhile. */
  readonly refill: boolean;
}

interface Row {
  schema: string;
  table: string;
  column: string;
  backfill: string;
}

/** The column name under which a refill of the whole table is noted. */
const WHOLE_TABLE = '*';

/** `_zero.backfilling` and the marks in `_zero.column_metadata`; every call is part of the caller's transaction. */
export class BackfillJobs {
  readonly #db: Database;
  readonly #notBefore = new Map<number, Version>();
  #jobs: ReadonlyMap<number, BackfillJob>;
  #wake: () => void = () => {};

  constructor(db: Database) {
    this.#db = db;
    this.#jobs = readJobs(db);
  }

  get(oid: number): BackfillJob | undefined {
    return this.#jobs.get(oid);
  }

  all(): BackfillJob[] {
    return [...this.#jobs.values()];
  }

  /** Resolves when there is a job. */
  some(): Promise<void> {
    return this.#jobs.size > 0 ? Promise.resolve() : new Promise(resolve => (this.#wake = resolve));
  }

  /** What was read as of an earlier version than `version` is of no use: it must be read again. */
  restart(oid: number, version: Version): void {
    this.#notBefore.set(oid, version);
  }

  /** True if rows read as of `version` may be used. */
  accepts(oid: number, version: Version): boolean {
    const least = this.#notBefore.get(oid);
    return this.#jobs.has(oid) && (least === undefined || version >= least);
  }

  /** Notes columns that are hidden until their values are read. */
  hide(table: PublishedTable, columns: readonly string[]): void {
    for (const column of columns) {
      this.#note(table, column);
      this.#db
        .prepare('UPDATE "_zero.column_metadata" SET backfill = ? WHERE table_name = ? AND column_name = ?')
        .run('{}', liteTableName(table), column);
    }
    this.reload();
  }

  refill(table: PublishedTable): void {
    this.#note(table, WHOLE_TABLE);
    this.reload();
  }

  /** Everything of the table is read: its columns become visible. */
  done(table: PublishedTable): void {
    this.forget(table);
    this.#db
      .prepare('UPDATE "_zero.column_metadata" SET backfill = NULL WHERE table_name = ?')
      .run(liteTableName(table));
  }

  forget(table: {readonly schema: string; readonly name: string}): void {
    this.#db
      .prepare('DELETE FROM "_zero.backfilling" WHERE "schema" = ? AND "table" = ?')
      .run(table.schema, table.name);
    this.reload();
  }

  forgetColumn(table: PublishedTable, column: string): void {
    this.#db
      .prepare('DELETE FROM "_zero.backfilling" WHERE "schema" = ? AND "table" = ? AND "column" = ?')
      .run(table.schema, table.name, column);
    this.reload();
  }

  rename(old: PublishedTable, table: PublishedTable): void {
    this.#db
      .prepare('UPDATE "_zero.backfilling" SET "schema" = ?, "table" = ? WHERE "schema" = ? AND "table" = ?')
      .run(table.schema, table.name, old.schema, old.name);
    this.reload();
  }

  renameColumn(table: PublishedTable, old: string, name: string): void {
    this.#db
      .prepare(
        'UPDATE "_zero.backfilling" SET "column" = ? WHERE "schema" = ? AND "table" = ? AND "column" = ?',
      )
      .run(name, table.schema, table.name, old);
    this.reload();
  }

  /** After a rollback. */
  reload(): void {
    this.#jobs = readJobs(this.#db);
    if (this.#jobs.size > 0) this.#wake();
  }

  #note(table: PublishedTable, column: string): void {
    this.#db
      .prepare(
        'INSERT OR REPLACE INTO "_zero.backfilling" ("schema", "table", "column", backfill) VALUES (?, ?, ?, ?)',
      )
      .run(table.schema, table.name, column, JSON.stringify({oid: table.oid}));
  }
}

const readJobs = (db: Database): Map<number, BackfillJob> => {
  const jobs = new Map<number, BackfillJob>();
  const rows = db
    .prepare<[], Row>(
      'SELECT "schema", "table", "column", backfill FROM "_zero.backfilling" ORDER BY 1, 2, 3',
    )
    .all();
  for (const row of rows) {
    const {oid} = JSON.parse(row.backfill) as {oid: number};
    const known = jobs.get(oid) ?? {oid, schema: row.schema, table: row.table, hidden: [], refill: false};
    jobs.set(
      oid,
      row.column === WHOLE_TABLE
        ? {...known, refill: true}
        : {...known, hidden: [...known.hidden, row.column]},
    );
  }
  return jobs;
};
