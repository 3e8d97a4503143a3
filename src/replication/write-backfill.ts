import type {Database, RunResult, Statement} from 'better-sqlite3';
import {ident} from '../pg/identifier.ts';
import {type Version, versionOfLsn} from '../pg/lsn.ts';
import {identityKey, liteTableName, type PublishedTable} from '../pg/published-schema.ts';
import {rowKeyText} from '../replica/log-changes.ts';
import {noteShape} from '../replica/stored-schema.ts';
import {type SqliteValue, VERSION_COLUMN} from '../replica/table-spec.ts';
import type {BackfillStep} from './backfill-step.ts';
import type {ApplierTarget} from './table-applier.ts';

interface LoggedEntry {
  stateVersion: string;
  op: string;
  written: string;
}

/**
 * Merges the rows of a snapshot into a table that the stream goes on writing (replication.md §4.5): what the stream wrote
 * or deleted after the snapshot stays. The stream must have reached the snapshot's position before the first step. How far
 * it is stands in the replica: whoever follows the change log may be interrupted between two steps, or begin there with a
 * copy.
 */
export class BackfillWriter {
  readonly #target: ApplierTarget;
  #run: TableRun | null = null;

  constructor(target: ApplierTarget) {
    this.#target = target;
  }

  /** Within the caller's transaction, which commits as `version`. Sets `step.refused` if the step came too late. */
  apply(step: BackfillStep, version: Version): void {
    const {tracker, jobs} = this.#target;
    const table = tracker.table(step.oid);
    if (!table || !jobs.accepts(step.oid, versionOfLsn(step.asOf))) {
      step.refused = true;
      this.#run = null;
      return;
    }
    if (step.tag === 'begin') this.#run = TableRun.begin(this.#target, table, versionOfLsn(step.asOf));
    else this.#run ??= TableRun.resume(this.#target, table, versionOfLsn(step.asOf));
    if (this.#run?.table !== table) step.refused = true;
    else if (step.tag === 'begin') return;
    else if (step.tag === 'rows') this.#run.write(step.columns, step.rows, version);
    else this.#end(this.#run, version);
  }

  #end(run: TableRun, version: Version): void {
    const {db, jobs, log} = this.#target;
    const job = jobs.get(run.table.oid)!;
    run.removeUnseen();
    jobs.done(run.table);
    noteShape(db, version);
    db.exec(FORGET_RUN);
    this.#run = null;
    if (!job.hidden.length) {
      // Rows that stood in the way were replaced without an entry of their own.
      if (run.displaced) log.truncate(liteTableName(run.table));
      return;
    }
    db.prepare('UPDATE "_zero.tableMetadata" SET minRowVersion = ? WHERE "schema" = ? AND "table" = ?').run(
      version,
      run.table.schema,
      run.table.name,
    );
    log.reset(liteTableName(run.table));
  }
}

/** The run that is under way, and of rows that may have to go those that the snapshot has. */
const RUN_TABLES = `
  CREATE TABLE IF NOT EXISTS "_zero.backfillRun" (
    oid INTEGER NOT NULL, asOf TEXT NOT NULL, mayRemove INTEGER NOT NULL, displaced INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS "_zero.backfillSeen" (id INTEGER PRIMARY KEY)`;
const FORGET_RUN = 'DELETE FROM "_zero.backfillRun"; DELETE FROM "_zero.backfillSeen"';

interface RunRow {
  readonly mayRemove: number;
  readonly displaced: number;
}

class TableRun {
  readonly table: PublishedTable;
  readonly #target: ApplierTarget;
  readonly #db: Database;
  readonly #name: string;
  readonly #asOf: Version;
  readonly #keyNames: readonly string[];
  readonly #hidden: ReadonlySet<string>;
  /** Whether rows may be missing from the replica: in a new table, or one that is read again. */
  readonly #mayInsert: boolean;
  /** Whether all columns are compared and written, or only the hidden ones. */
  readonly #refill: boolean;
  /** Whether rows may be there that the snapshot does not have: then those it has are noted. */
  readonly #mayRemove: boolean;
  readonly #entry: Statement;
  readonly #find: Statement | null;
  readonly #see: Statement;
  readonly #statements = new Map<string, Statement>();
  #displaced: boolean;

  static begin(target: ApplierTarget, table: PublishedTable, asOf: Version): TableRun {
    const {db} = target;
    db.exec(RUN_TABLES);
    db.exec(FORGET_RUN);
    const isEmpty = db.prepare(`SELECT 1 FROM ${ident(liteTableName(table))}`).get() === undefined;
    const run = new TableRun(target, table, asOf, {mayRemove: isEmpty ? 0 : 1, displaced: 0});
    db.prepare('INSERT INTO "_zero.backfillRun" VALUES (?, ?, ?, 0)').run(table.oid, asOf, isEmpty ? 0 : 1);
    // Rows that nothing identifies cannot be merged: those the snapshot knows are all replaced by it.
    if (!run.#find && run.#mayInsert) run.#removeUpTo(asOf);
    return run;
  }

  /** null if none was begun. */
  static resume(target: ApplierTarget, table: PublishedTable, asOf: Version): TableRun | null {
    target.db.exec(RUN_TABLES);
    const row = target.db
      .prepare<[number, string], RunRow>(
        'SELECT mayRemove, displaced FROM "_zero.backfillRun" WHERE oid = ? AND asOf = ?',
      )
      .get(table.oid, asOf);
    return row ? new TableRun(target, table, asOf, row) : null;
  }

  private constructor(target: ApplierTarget, table: PublishedTable, asOf: Version, state: RunRow) {
    this.table = table;
    this.#displaced = state.displaced === 1;
    this.#target = target;
    this.#db = target.db;
    this.#name = liteTableName(table);
    this.#asOf = asOf;
    this.#keyNames = identityKey(target.tracker.schema, table);
    const job = target.jobs.get(table.oid)!;
    this.#hidden = new Set(job.hidden);
    this.#refill = job.refill;
    this.#mayInsert = job.refill || job.hidden.length === table.columns.length || !this.#keyNames.length;
    this.#entry = this.#db.prepare(
      `SELECT stateVersion, op, backfillingColumnVersions AS written FROM "_zero.changeLog2" WHERE "table" = ? AND rowKey = ?`,
    );
    this.#find = this.#keyNames.length
      ? this.#db.prepare(
          `SELECT _rowid_ FROM ${ident(this.#name)} WHERE ${this.#keyNames.map(name => `${ident(name)} = ?`).join(' AND ')}`,
        )
      : null;
    this.#see = this.#db.prepare('INSERT OR IGNORE INTO "_zero.backfillSeen" VALUES (?)');
    this.#mayRemove = this.#mayInsert && state.mayRemove === 1;
  }

  /** True if a unique index made a row give way to another. */
  get displaced(): boolean {
    return this.#displaced;
  }

  write(columns: readonly string[], rows: readonly (readonly SqliteValue[])[], version: Version): void {
    const key = this.#keyNames.map(name => columns.indexOf(name));
    for (const row of rows) {
      if (this.#find)
        this.#merge(
          columns,
          row,
          key.map(i => row[i]!),
          version,
        );
      else if (this.#mayInsert) this.#statement('INSERT', columns).run(...row, this.#asOf);
    }
  }

  /** What is no longer published goes, unless the stream brought it after the snapshot. */
  removeUnseen(): void {
    if (!this.#mayRemove || !this.#find) return;
    const table = ident(this.#name);
    const keys = this.#keyNames.map(name => ident(name)).join(', ');
    const gone = this.#db
      .prepare(
        `SELECT _rowid_, ${keys} FROM ${table}
         WHERE _rowid_ NOT IN (SELECT id FROM "_zero.backfillSeen") AND ${ident(VERSION_COLUMN)} <= ?`,
      )
      .raw()
      .safeIntegers()
      .all(this.#asOf) as SqliteValue[][];
    const remove = this.#db.prepare(`DELETE FROM ${table} WHERE _rowid_ = ?`);
    for (const [id, ...key] of gone) {
      remove.run(id!);
      this.#target.log.delete(this.#name, rowKeyText(this.#keyNames, key));
    }
  }

  #merge(
    columns: readonly string[],
    row: readonly SqliteValue[],
    key: readonly SqliteValue[],
    version: Version,
  ): void {
    const keyText = rowKeyText(this.#keyNames, key);
    const entry = this.#entry.get(this.#name, keyText) as LoggedEntry | undefined;
    const newer = entry !== undefined && entry.stateVersion > this.#asOf;
    if (newer && entry.op === 'd') return;
    const id = this.#find!.pluck().get(...key) as number | undefined;
    if (id === undefined) {
      if (this.#mayInsert) this.#insert(columns, row, keyText, version);
      return;
    }
    if (this.#mayRemove) this.#see.run(id);
    const written = newer ? (JSON.parse(entry.written) as Record<string, Version>) : {};
    const wanted = columns.flatMap((name, i) =>
      (written[name] ?? '') > this.#asOf || (!this.#refill && !this.#hidden.has(name)) ? [] : [i],
    );
    if (!wanted.length) return;
    const names = wanted.map(i => columns[i]!);
    const values = wanted.map(i => row[i]!);
    // Hidden columns become visible all at once; others are a change of their row where they differ.
    if (!names.some(name => !this.#hidden.has(name))) {
      this.#write('UPDATE', names, [...values, id]);
      return;
    }
    const {changes} = this.#write('CHANGE', names, [...values, version, id, ...values]);
    if (changes) this.#target.log.setColumns(this.#name, keyText, []);
  }

  #insert(columns: readonly string[], row: readonly SqliteValue[], keyText: string, version: Version): void {
    const id = this.#write('INSERT', columns, [...row, version]).lastInsertRowid;
    if (this.#mayRemove) this.#see.run(id);
    if (this.#hidden.size !== this.table.columns.length) this.#target.log.setColumns(this.#name, keyText, []);
  }

  /** A row that still holds a unique value of another steps aside: it is either read later or no longer published. */
  #write(verb: Verb, names: readonly string[], values: readonly SqliteValue[]): RunResult {
    try {
      return this.#statement(verb, names).run(...values);
    } catch (error) {
      if (!(error as {code?: string}).code?.startsWith('SQLITE_CONSTRAINT')) throw error;
      if (!this.#displaced) this.#db.exec('UPDATE "_zero.backfillRun" SET displaced = 1');
      this.#displaced = true;
      return this.#statement(verb, names, ' OR REPLACE').run(...values);
    }
  }

  #removeUpTo(version: Version): void {
    this.#db.prepare(`DELETE FROM ${ident(this.#name)} WHERE ${ident(VERSION_COLUMN)} <= ?`).run(version);
  }

  #statement(verb: Verb, names: readonly string[], conflict = ''): Statement {
    const cacheKey = `${verb}${conflict} ${names.join('\0')}`;
    let statement = this.#statements.get(cacheKey);
    if (statement) return statement;
    const table = ident(this.#name);
    const sets = names.map(name => `${ident(name)} = ?`).join(', ');
    const differs = names.map(name => `${ident(name)} IS NOT ?`).join(' OR ');
    const sql = {
      INSERT: `INSERT${conflict} INTO ${table} (${[...names, VERSION_COLUMN].map(ident).join(', ')})
        VALUES (${[...names, ''].map(() => '?').join(', ')})`,
      UPDATE: `UPDATE${conflict} ${table} SET ${sets} WHERE _rowid_ = ?`,
      CHANGE: `UPDATE${conflict} ${table} SET ${sets}, ${ident(VERSION_COLUMN)} = ? WHERE _rowid_ = ? AND (${differs})`,
    }[verb];
    statement = this.#db.prepare(sql);
    this.#statements.set(cacheKey, statement);
    return statement;
  }
}

/** CHANGE touches a row only if it differs. */
type Verb = 'INSERT' | 'UPDATE' | 'CHANGE';
