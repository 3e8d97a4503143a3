import type {Database, Statement} from 'better-sqlite3';
import type {OperatorFunction} from 'rxjs';
import {DaemonError, SchemaChanged, StreamUndecodable} from '../errors.ts';
import {transform} from '../flow/transform.ts';
import {type Lsn, lexi, lsnOfVersion, unlexi, type Version, versionOfLsn} from '../pg/lsn.ts';
import {diffSchemas} from '../pg/schema-diff.ts';
import type {Change, Relation} from '../pgoutput/messages.ts';
import {applySchema} from '../replica/apply-schema.ts';
import type {BackfillJobs} from '../replica/backfill-jobs.ts';
import {replicaError} from '../replica/classify-error.ts';
import {ChangeLogWriter} from '../replica/log-changes.ts';
import type {Batch, TransactionPart} from './batch.ts';
import {mapRelation} from './map-relation.ts';
import type {SchemaTracker} from './schema-tracker.ts';
import type {SchemaUpdate} from './schema-update.ts';
import {type ApplierTarget, TableApplier} from './table-applier.ts';
import {BackfillWriter} from './write-backfill.ts';

/** A batch after its changes are in the replica's transaction. */
export type Applied = Batch & {
  /** Watermark committed by this batch; null if none (keepalive, open transaction, repetition); always there beside the stream. */
  readonly version: Version | null;
  readonly upstreamCommitTimeMs: number | null;
  /**
   * Describes a relation's rows for the change log, as they were written; null if the table is not mirrored. `epoch`: that of
   * the last schema update before the row within the batch, 0 if there is none.
   */
  readonly tableOf: (relation: Relation, epoch: number) => TableApplier | null;
};

/** Position up to which everything is applied with a batch; null within a transaction. */
export const positionOf = (batch: Applied): Lsn | null => {
  if (batch.kind === 'keepalive') return batch.lsn;
  if (batch.kind !== 'transactions') return lsnOfVersion(batch.version!);
  return batch.open ? null : batch.transactions.at(-1)!.commitLsn;
};

export interface ApplyDeps {
  readonly db: Database;
  /** What the replica already holds. */
  readonly watermark: Version;
  /** The newest version that was ever given out: what comes beside the stream is numbered above it. */
  readonly lastVersion: Version;
  readonly tracker: SchemaTracker;
  readonly jobs: BackfillJobs;
}

/**
 * Applies batches to the replica: one SQLite transaction per batch, however many upstream transactions it holds; the
 * watermark is written inside. Transactions at or below the watermark are skipped, so a repeated delivery is harmless.
 * What comes beside the stream (schemas, rows read) gets versions `major.minor` between two upstream commits.
 * Unsubscribing rolls an open transaction back. @throws SchemaChanged, StreamUndecodable, DiskFull, ReplicaUnwritable, ReplicaUnusable.
 */
export const applyBatches = (deps: ApplyDeps): OperatorFunction<Batch, Applied> =>
  transform(() => {
    const applier = new Applier(deps);
    return batch => [applier.apply(batch)];
  });

class Applier {
  readonly #db: Database;
  readonly #target: ApplierTarget;
  readonly #backfill: BackfillWriter;
  readonly #begin: Statement;
  readonly #stamp: Statement;
  readonly #end: Statement;
  #tables: Tables = new WeakMap();
  /** The relations of this batch, between one schema update and the next: each keeps the shape its rows were written in. */
  #epochs: Tables[] = [];
  #watermark: Version;
  #lastVersion: Version;

  constructor({db, watermark, lastVersion, tracker, jobs}: ApplyDeps) {
    this.#db = db;
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#stamp = db.prepare(`UPDATE "_zero.replicationState" SET stateVersion = ?, writeTimeMs = ?`);
    this.#end = db.prepare('COMMIT');
    this.#target = {db, log: new ChangeLogWriter(db), tracker, jobs};
    this.#backfill = new BackfillWriter(this.#target);
    this.#watermark = watermark;
    this.#lastVersion = lastVersion > watermark ? lastVersion : watermark;
  }

  apply(batch: Batch): Applied {
    const epochs = [this.#tables];
    this.#epochs = epochs;
    const tableOf = (relation: Relation, epoch: number) =>
      epochs[epoch]?.get(relation) ?? this.#table(relation);
    const nothing = {...batch, version: null, upstreamCommitTimeMs: null, tableOf};
    if (batch.kind === 'keepalive') return nothing;
    try {
      if (batch.kind !== 'transactions') return {...nothing, version: this.#aside(batch)};
      let version: Version | null = null;
      let commitTimeMs: number | null = null;
      for (const transaction of batch.transactions) {
        const at = versionOfLsn(transaction.commitLsn);
        if (at <= this.#watermark) continue;
        if (!this.#db.inTransaction) this.#begin.run();
        this.#transaction(transaction, at);
        if (transaction.commitTimeMs !== null) {
          version = at;
          commitTimeMs = transaction.commitTimeMs;
        }
      }
      if (batch.open || version === null) return nothing;
      this.#commit(version);
      return {...batch, version, upstreamCommitTimeMs: commitTimeMs, tableOf};
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      throw classify(error);
    }
  }

  /** A transaction of our own between two of upstream's. */
  #aside(batch: Batch & {kind: 'schema' | 'backfill'}): Version {
    const version = this.#versionAside(batch.kind === 'backfill' ? versionOfLsn(batch.step.asOf) : null);
    this.#begin.run();
    this.#target.log.begin(version);
    if (batch.kind === 'schema') this.#schema(batch.update, version);
    else {
      this.#backfill.apply(batch.step, version);
      if (batch.step.tag === 'end') this.#forgetTables();
    }
    this.#commit(version);
    return version;
  }

  /** Not below `least`, a position that the stream has reached. */
  #versionAside(least: Version | null): Version {
    const last = this.#lastVersion;
    if (least !== null && least > last) return `${least}.${lexi(1)}`;
    const [major = '', minor] = last.split('.');
    return `${major}.${lexi(minor === undefined ? 1n : unlexi(minor) + 1n)}`;
  }

  #commit(version: Version): void {
    this.#stamp.run(version, Date.now());
    this.#end.run();
    this.#watermark = version;
    this.#lastVersion = version;
  }

  #transaction(transaction: TransactionPart, version: Version): void {
    this.#target.log.begin(version);
    for (const item of transaction.items)
      switch (item.tag) {
        // A description alone means nothing: those of leaf partitions come too, whose rows are sent as the root's.
        case 'relation':
        case 'message':
          break;
        case 'schema':
          this.#schema(item, version);
          break;
        default:
          this.#change(item, version);
      }
  }

  #change(change: Change, version: Version): void {
    switch (change.tag) {
      case 'insert':
        return this.#table(change.relation)?.insert(change.new, version);
      case 'update':
        return this.#table(change.relation)?.update(change, version);
      case 'delete':
        return this.#table(change.relation)?.delete(change.old, version);
      case 'truncate':
        for (const relation of change.relations) this.#table(relation)?.truncate(version);
    }
  }

  #schema(update: SchemaUpdate, version: Version): void {
    const {tracker} = this.#target;
    const options = {created: update.created, lacking: update.lacking, truncated: tracker.truncated};
    const changes = diffSchemas(tracker.schema, update.schema, options);
    try {
      tracker.advance(applySchema(this.#target, update.schema, changes, version));
    } catch (error) {
      throw new SchemaChanged(
        `A schema change could not be applied to the replica (${changes.map(change => change.tag).join(', ')}: ${(error as Error).message}).`,
        {cause: error},
      );
    }
    tracker.seen = update.seen ?? tracker.seen;
    update.changes = changes;
    this.#forgetTables();
    update.epoch = this.#epochs.push(this.#tables) - 1;
  }

  #forgetTables(): void {
    this.#tables = new WeakMap();
  }

  #table(relation: Relation): TableApplier | null {
    let table = this.#tables.get(relation);
    if (table === undefined) {
      const {tracker, jobs} = this.#target;
      const map = mapRelation(relation, tracker);
      // Rows matched by name alone may lack values under other names.
      if (map?.uncertain) jobs.refill(map.table);
      table = map ? new TableApplier(this.#target, relation, map) : null;
      this.#tables.set(relation, table);
    }
    return table;
  }
}

type Tables = WeakMap<Relation, TableApplier | null>;

const classify = (error: unknown): unknown => {
  if (error instanceof DaemonError) return error;
  const ofReplica = replicaError(error);
  if (ofReplica) return ofReplica;
  // What is left is a value that its codec does not understand; its text must not get into messages.
  return new StreamUndecodable('A value in the WAL stream cannot be converted.', {cause: error});
};
