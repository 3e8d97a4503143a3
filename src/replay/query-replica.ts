import type {Database} from 'better-sqlite3';
import {Subject, type Subscription} from 'rxjs';
import {FixtureUnusable} from '../errors.ts';
import {type Lsn, type Version, versionOfLsn} from '../pg/lsn.ts';
import type {PublishedColumn, PublishedIndex, PublishedSchema} from '../pg/published-schema.ts';
import type {Change, Relation} from '../pgoutput/messages.ts';
import {BackfillJobs} from '../replica/backfill-jobs.ts';
import {loadSchema} from '../replica/stored-schema.ts';
import {applyBatches} from '../replication/apply.ts';
import type {Batch} from '../replication/batch.ts';
import {SchemaTracker} from '../replication/schema-tracker.ts';
import {buildReplica} from './build-replica.ts';
import type {FixtureChange, FixtureRow, FixtureTable, QueryScript} from './query-fixture.ts';

/** Consistent point of the made-up database; its transactions commit at the positions that follow. */
const FIRST: Lsn = 100n;

/** A replica of a database that exists only as a fixture, written by the applier of the server. */
export class QueryReplica {
  readonly #db: Database;
  readonly #relations: ReadonlyMap<string, {readonly table: FixtureTable; readonly relation: Relation}>;
  readonly #batches = new Subject<Batch>();
  readonly #applying: Subscription;
  #lsn = FIRST;
  #error: unknown = null;

  private constructor(db: Database, tables: readonly FixtureTable[]) {
    this.#db = db;
    this.#relations = new Map(
      tables.map((table, i) => [table.name, {table, relation: relationOf(table, i)}]),
    );
    const apply = applyBatches({
      db,
      watermark: versionOfLsn(FIRST),
      lastVersion: versionOfLsn(FIRST),
      tracker: new SchemaTracker(loadSchema(db)),
      jobs: new BackfillJobs(db),
    });
    this.#applying = this.#batches.pipe(apply).subscribe({
      error: error => {
        this.#error = error;
      },
    });
  }

  /** @throws FixtureUnusable if rows and tables do not fit. */
  static async build(file: string, {tables, rows}: QueryScript): Promise<QueryReplica> {
    const byName = new Map(tables.map(table => [table.name, table]));
    const db = await buildReplica(file, {
      schema: schemaOf(tables),
      replicaVersion: versionOfLsn(FIRST),
      publications: ['fixture'],
      rows: rows.map(({table, row}) => ({table, row: texts(known(byName, table), row)})),
    });
    return new QueryReplica(db, tables);
  }

  /** One upstream transaction. @returns its version. */
  transact(changes: readonly FixtureChange[]): Version {
    this.#lsn++;
    this.#batches.next({
      kind: 'transactions',
      open: false,
      bytes: 0,
      transactions: [
        {commitLsn: this.#lsn, xid: 0, commitTimeMs: 0, items: changes.map(change => this.#change(change))},
      ],
    });
    if (this.#error) throw this.#error;
    return versionOfLsn(this.#lsn);
  }

  close(): void {
    this.#applying.unsubscribe();
    this.#db.close();
  }

  #change(change: FixtureChange): Change {
    const {table, relation} = known(this.#relations, change.table);
    switch (change.op) {
      // The applier replaces a row of the same key.
      case 'set':
        return {tag: 'insert', relation, new: texts(table, change.row)};
      case 'delete':
        return {tag: 'delete', relation, old: texts(table, change.key)};
      case 'truncate':
        return {tag: 'truncate', relations: [relation]};
    }
  }
}

const known = <T>(tables: ReadonlyMap<string, T>, name: string): T => {
  const table = tables.get(name);
  if (!table) throw new FixtureUnusable(`A change names table ${name}, which the fixture does not have.`);
  return table;
};

/** Wire form → what PostgreSQL would send. */
const texts = (table: FixtureTable, row: FixtureRow): (string | null)[] =>
  Object.entries(table.columns).map(([name, type]) => text(row[name] ?? null, typeName(type)));

const text = (value: unknown, type: string): string | null => {
  if (type === 'json' || type === 'jsonb') return value === null ? null : JSON.stringify(value);
  switch (typeof value) {
    case 'string':
      return value;
    case 'boolean':
      return value ? 't' : 'f';
    case 'number':
      if (/^(date|time)/.test(type))
        throw new FixtureUnusable(
          `A value of type ${type} is written as PostgreSQL's text, not as a number.`,
        );
      return Object.is(value, -0) ? '-0' : String(value);
    default:
      if (value === null) return null;
      throw new FixtureUnusable(`A value of type ${type} is written as an array or object.`);
  }
};

const typeName = (type: string): string => type.replace(/\?$/, '');

const schemaOf = (tables: readonly FixtureTable[]): PublishedSchema => ({
  tables: tables.map((table, i) => ({
    oid: relationOf(table, i).oid,
    schemaOid: 1,
    schema: 'public',
    name: table.name,
    replicaIdentity: 'd',
    storage: [],
    partial: false,
    columns: Object.entries(table.columns).map(
      ([name, type], pos): PublishedColumn => ({
        name,
        pos: pos + 1,
        typeOid: 0,
        typmod: -1,
        dataType: typeName(type),
        typeClass: 'b',
        elementClass: type.includes('[]') ? 'b' : null,
        labels: null,
        notNull: !type.endsWith('?'),
        dflt: null,
        missing: null,
      }),
    ),
    primaryKey: table.key,
    publications: {fixture: {rowFilter: null}},
  })),
  indexes: tables.flatMap(table => [
    indexOf(table, 'pkey', true, table.key),
    ...(table.uniques ?? []).map((on, n) => indexOf(table, `unique_${n}`, true, on)),
    ...(table.indexes ?? []).map((on, n) => indexOf(table, `index_${n}`, false, on)),
  ]),
  leftOut: [],
});

const indexOf = (
  table: FixtureTable,
  suffix: string,
  unique: boolean,
  columns: readonly string[],
): PublishedIndex => ({
  schema: 'public',
  tableName: table.name,
  name: `${table.name}_${suffix}`,
  unique,
  isPrimaryKey: suffix === 'pkey',
  isReplicaIdentity: false,
  isImmediate: true,
  columns: columns.map(name => ({name, direction: 'ASC'})),
});

const relationOf = (table: FixtureTable, i: number): Relation => ({
  oid: 1000 + i,
  schema: 'public',
  name: table.name,
  replicaIdentity: 'd',
  columns: Object.keys(table.columns).map(name => ({
    name,
    isKey: table.key.includes(name),
    typeOid: 0,
    typmod: -1,
  })),
});
