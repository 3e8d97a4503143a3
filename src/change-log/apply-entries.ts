import type {Database} from 'better-sqlite3';
import {DaemonError, ReplicaUnusable} from '../errors.ts';
import type {Version} from '../pg/lsn.ts';
import type {PublishedTable} from '../pg/published-schema.ts';
import type {Relation} from '../pgoutput/messages.ts';
import {applySchema} from '../replica/apply-schema.ts';
import {BackfillJobs} from '../replica/backfill-jobs.ts';
import {replicaError} from '../replica/classify-error.ts';
import {ChangeLogWriter} from '../replica/log-changes.ts';
import {loadSchema} from '../replica/stored-schema.ts';
import type {SqliteValue} from '../replica/table-spec.ts';
import type {BackfillStep} from '../replication/backfill-step.ts';
import {type EntryValue, parseEntry, readJson} from '../replication/read-json.ts';
import {SchemaTracker} from '../replication/schema-tracker.ts';
import {type ApplierTarget, TableApplier, type Values} from '../replication/table-applier.ts';
import {BackfillWriter} from '../replication/write-backfill.ts';
import type {LogEntry} from './entries.ts';
import type {BackfillEntry, BackfillRows, SchemaEntry} from './schema-entries.ts';

/** The newest transaction that is committed in the replica after some entries, and when it was committed upstream. */
export interface AppliedEntries {
  readonly version: Version;
  readonly upstreamCommitTimeMs: number | null;
}

/** A table as an entry names it; `rowKey.columns` address the row. */
interface EntryRelation {
  readonly schema: string;
  readonly name: string;
  readonly rowKey: {readonly columns: readonly string[]; readonly type: keyof typeof IDENTITY};
  /** The stream described it in a shape that did not tell everything: it is read again. */
  readonly uncertain?: true;
}

const IDENTITY = {default: 'd', nothing: 'n', full: 'f', index: 'i'} as const;

type Row = Readonly<Record<string, EntryValue | null>>;

type Entry =
  | {readonly tag: 'begin'}
  | {readonly tag: 'commit'; readonly commitTimeMs?: number}
  | {readonly tag: 'insert'; readonly relation: EntryRelation; readonly new: Row}
  | {
      readonly tag: 'update';
      readonly relation: EntryRelation;
      readonly key: Row | null;
      readonly new: Row;
      readonly unchanged?: readonly string[];
    }
  | {readonly tag: 'delete'; readonly relation: EntryRelation; readonly key: Row}
  | {readonly tag: 'truncate'; readonly relations: readonly EntryRelation[]}
  | SchemaEntry
  | BackfillEntry;

/**
 * Does to a replica what the change log says, so that it becomes equal to the one whose changes were logged: the writers are
 * the same, only the values come as JSON. Several transactions that arrive together share one in SQLite, which also holds
 * the watermark; what is not above it is skipped, so a repeated delivery is harmless.
 */
export class EntryApplier {
  readonly #db: Database;
  readonly #target: ApplierTarget;
  readonly #backfill: BackfillWriter;
  #tables = new Map<string, TableApplier<EntryValue>>();
  #watermark: Version;
  #commitTimeMs: number | null = null;

  /** @param watermark what the replica holds. */
  constructor(db: Database, watermark: Version) {
    this.#db = db;
    this.#target = {
      db,
      log: new ChangeLogWriter(db),
      tracker: new SchemaTracker(loadSchema(db)),
      jobs: new BackfillJobs(db),
    };
    this.#backfill = new BackfillWriter(this.#target);
    this.#watermark = watermark;
  }

  get watermark(): Version {
    return this.#watermark;
  }

  /**
   * Takes entries as they come: the last transaction may go on in the next call, and stays open in SQLite until then.
   * @returns what was committed; null if nothing was.
   * @throws ReplicaUnusable if they do not fit the replica, DiskFull, ReplicaUnwritable; then nothing is left open.
   */
  apply(entries: readonly LogEntry[]): AppliedEntries | null {
    const end = entries.findLastIndex(entry => entry.precommit !== null) + 1;
    try {
      for (const entry of entries.slice(0, end)) this.#entry(entry);
      const version = end ? this.#commit(entries[end - 1]!.watermark) : null;
      const committed = version === null ? null : {version, upstreamCommitTimeMs: this.#commitTimeMs};
      for (const entry of entries.slice(end)) this.#entry(entry);
      return committed;
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      if (error instanceof DaemonError) throw error;
      throw (
        replicaError(error) ??
        new ReplicaUnusable('The replica does not fit the changes that follow it.', {cause: error})
      );
    }
  }

  #commit(version: Version): Version | null {
    if (!this.#db.inTransaction) return null;
    this.#db
      .prepare(`UPDATE "_zero.replicationState" SET stateVersion = ?, writeTimeMs = ?`)
      .run(version, Date.now());
    this.#db.exec('COMMIT');
    this.#watermark = version;
    return version;
  }

  #entry({watermark: version, change}: LogEntry): void {
    if (version <= this.#watermark) return;
    if (!this.#db.inTransaction) this.#db.exec('BEGIN IMMEDIATE');
    const entry = parseEntry(change) as Entry;
    switch (entry.tag) {
      case 'begin':
        return this.#target.log.begin(version);
      case 'commit':
        this.#commitTimeMs = entry.commitTimeMs ?? null;
        return;
      case 'insert': {
        const names = Object.keys(entry.new);
        return this.#table(entry.relation, names).insert(valuesOf(entry.new, names), version);
      }
      case 'update': {
        const names = [...Object.keys(entry.new), ...(entry.unchanged ?? [])];
        const row = {old: entry.key && valuesOf(entry.key, names), new: valuesOf(entry.new, names)};
        return this.#table(entry.relation, names).update(row, version);
      }
      case 'delete': {
        const names = Object.keys(entry.key);
        return this.#table(entry.relation, names).delete(valuesOf(entry.key, names), version);
      }
      case 'truncate':
        for (const relation of entry.relations) this.#table(relation, []).truncate(version);
        return;
      case 'schema': {
        const {tracker} = this.#target;
        tracker.advance(applySchema(this.#target, entry.schema, entry.changes, version));
        this.#tables.clear();
        return;
      }
      default:
        return this.#backfillStep(entry, version);
    }
  }

  #backfillStep(entry: BackfillEntry, version: Version): void {
    this.#target.log.begin(version);
    const step = this.#stepOf(entry);
    this.#backfill.apply(step, version);
    // Only steps that fitted were logged.
    if (step.refused) throw new ReplicaUnusable('The replica does not fit the rows that were read for it.');
    if (step.tag === 'end') this.#tables.clear();
  }

  #stepOf(entry: BackfillEntry): BackfillStep {
    const head = {oid: entry.oid, asOf: BigInt(entry.asOf), refused: false};
    switch (entry.tag) {
      case 'backfill-begin':
        return {...head, tag: 'begin'};
      case 'backfill-rows':
        return {...head, tag: 'rows', columns: entry.columns, rows: this.#rowsOf(entry)};
      case 'backfill-end':
        return {...head, tag: 'end'};
      default:
        throw new ReplicaUnusable('The change log holds an entry that this release does not know.');
    }
  }

  #rowsOf({oid, columns, rows}: BackfillRows): SqliteValue[][] {
    const table = this.#target.tracker.table(oid);
    const readers = columns.map(name => readerOf(table, name));
    return (rows as readonly (readonly (EntryValue | null)[])[]).map(row =>
      row.map((value, i): SqliteValue => (value === null ? null : readers[i]!(value))),
    );
  }

  #table(relation: EntryRelation, names: readonly string[]): TableApplier<EntryValue> {
    const {schema, name, rowKey, uncertain} = relation;
    const cacheKey = [schema, name, rowKey.type, ...rowKey.columns, '', ...names].join('\0');
    let applier = this.#tables.get(cacheKey);
    if (applier) return applier;
    const {tracker, jobs} = this.#target;
    const table = tracker.schema.tables.find(t => t.schema === schema && t.name === name);
    if (!table) throw new ReplicaUnusable(`The replica has no table "${schema}"."${name}".`);
    if (uncertain) jobs.refill(table);
    applier = new TableApplier(this.#target, relationOf(table, relation, names), {
      table,
      uncertain: false,
      columns: names.map(column => ({name: column, read: readerOf(table, column)})),
    });
    this.#tables.set(cacheKey, applier);
    return applier;
  }
}

const relationOf = (table: PublishedTable, {rowKey}: EntryRelation, names: readonly string[]): Relation => ({
  oid: table.oid,
  schema: table.schema,
  name: table.name,
  replicaIdentity: IDENTITY[rowKey.type],
  columns: names.map(name => ({name, isKey: rowKey.columns.includes(name), typeOid: 0, typmod: 0})),
});

const readerOf = (table: PublishedTable | undefined, name: string): ((value: EntryValue) => SqliteValue) => {
  const column = table?.columns.find(column => column.name === name);
  if (!column) throw new ReplicaUnusable(`The replica has no column "${name}" where changes need one.`);
  return readJson(column);
};

const valuesOf = (row: Row, names: readonly string[]): Values<EntryValue> => names.map(name => row[name]);
