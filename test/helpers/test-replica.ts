import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Database} from 'better-sqlite3';
import {ident} from '../../src/pg/identifier.ts';
import {lexi, type Version} from '../../src/pg/lsn.ts';
import type {PublishedTable} from '../../src/pg/published-schema.ts';
import {createIndex, createTable} from '../../src/replica/create-table.ts';
import {ChangeLogWriter, rowKeyText} from '../../src/replica/log-changes.ts';
import {createMetadataTables, initReplicaState} from '../../src/replica/metadata.ts';
import {openWriter} from '../../src/replica/open.ts';
import {type SqliteValue, VERSION_COLUMN} from '../../src/replica/table-spec.ts';

/** A table for tests. Types are PostgreSQL's names; a `?` at the end makes the column nullable. */
export interface TestTable {
  readonly name: string;
  readonly columns: Readonly<Record<string, string>>;
  readonly key: readonly string[];
  readonly uniques?: readonly (readonly string[])[];
  readonly indexes?: readonly (readonly string[])[];
}

/** A row in wire form: booleans and JSON values as such. Missing columns are null. */
export type TestRow = Readonly<Record<string, unknown>>;

export type TestChange =
  | {readonly op: 'set'; readonly table: string; readonly row: TestRow}
  | {readonly op: 'delete'; readonly table: string; readonly key: TestRow}
  | {readonly op: 'truncate'; readonly table: string};

/** A replica file written as the replicator writes it, without a PostgreSQL behind it. */
export class TestReplica implements Disposable {
  readonly file: string;
  readonly db: Database;
  readonly tables: ReadonlyMap<string, TestTable>;
  readonly #dir: string;
  readonly #log: ChangeLogWriter;
  #version = 100n;

  constructor(tables: readonly TestTable[]) {
    this.#dir = mkdtempSync(join(tmpdir(), 'zs-replica-'));
    this.file = join(this.#dir, 'replica.db');
    this.db = openWriter(this.file);
    this.db.pragma('synchronous = OFF');
    this.tables = new Map(tables.map(table => [table.name, table]));
    createMetadataTables(this.db);
    initReplicaState(this.db, this.version, ['test']);
    tables.forEach((table, i) => this.#create(table, i));
    this.#log = new ChangeLogWriter(this.db);
  }

  get version(): Version {
    return lexi(this.#version);
  }

  /** One upstream transaction. @returns its version. */
  transact(changes: readonly TestChange[]): Version {
    this.#version++;
    this.db.exec('BEGIN IMMEDIATE');
    this.#log.begin(this.version);
    for (const change of changes) this.#apply(change);
    this.db.prepare(`UPDATE "_zero.replicationState" SET stateVersion = ?`).run(this.version);
    this.db.exec('COMMIT');
    return this.version;
  }

  [Symbol.dispose](): void {
    this.db.close();
    rmSync(this.#dir, {recursive: true, force: true});
  }

  #create(table: TestTable, i: number): void {
    const columns = Object.entries(table.columns).map(([name, type], pos) => ({
      name,
      pos: pos + 1,
      typeOid: 0,
      typmod: -1,
      dataType: type.replace('?', ''),
      typeClass: 'b',
      elementClass: null,
      labels: null,
      notNull: !type.endsWith('?'),
      dflt: null,
      missing: null,
    }));
    const published: PublishedTable = {
      oid: 1000 + i,
      schemaOid: 1,
      schema: 'public',
      name: table.name,
      replicaIdentity: 'd',
      storage: [],
      partial: false,
      columns,
      primaryKey: table.key,
      publications: {test: {rowFilter: null}},
    };
    createTable(this.db, published);
    const index = (name: string, unique: boolean, on: readonly string[]) =>
      createIndex(this.db, {
        schema: 'public',
        tableName: table.name,
        name,
        unique,
        isPrimaryKey: false,
        isReplicaIdentity: false,
        isImmediate: true,
        columns: on.map(column => ({name: column, direction: 'ASC'})),
      });
    index(`${table.name}_key`, true, table.key);
    table.uniques?.forEach((on, n) => index(`${table.name}_unique_${n}`, true, on));
    table.indexes?.forEach((on, n) => index(`${table.name}_index_${n}`, false, on));
  }

  #apply(change: TestChange): void {
    const table = this.tables.get(change.table)!;
    const key = [...table.key].sort();
    if (change.op === 'truncate') {
      this.db.exec(`DELETE FROM ${ident(table.name)}`);
      this.#log.truncate(table.name);
      return;
    }
    const row = change.op === 'set' ? change.row : change.key;
    const text = rowKeyText(
      key,
      key.map(name => toStored(row[name])),
    );
    if (change.op === 'delete') {
      this.db
        .prepare(
          `DELETE FROM ${ident(table.name)} WHERE ${key.map(name => `${ident(name)} = ?`).join(' AND ')}`,
        )
        .run(key.map(name => toStored(row[name])));
      this.#log.delete(table.name, text);
      return;
    }
    const columns = Object.keys(table.columns);
    this.db
      .prepare(
        `INSERT OR REPLACE INTO ${ident(table.name)} (${[...columns, VERSION_COLUMN].map(ident).join()})
         VALUES (${columns.map(() => '?').join()}, ?)`,
      )
      .run(
        ...columns.map(name => toStored(row[name], table.columns[name]!.startsWith('json'))),
        this.version,
      );
    this.#log.set(table.name, text);
  }
}

const toStored = (value: unknown, json = false): SqliteValue => {
  if (value === null || value === undefined) return null;
  if (json) return JSON.stringify(value);
  return typeof value === 'boolean' ? Number(value) : (value as SqliteValue);
};
