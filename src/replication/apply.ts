import type {Database} from 'better-sqlite3';
import type {OperatorFunction} from 'rxjs';
import {DaemonError, StreamUndecodable} from '../errors.ts';
import {transform} from '../flow/transform.ts';
import {type Version, versionOfLsn} from '../pg/lsn.ts';
import type {Change, Relation} from '../pgoutput/messages.ts';
import {replicaError} from '../replica/classify-error.ts';
import {ChangeLogWriter} from '../replica/log-changes.ts';
import type {Batch, TransactionPart} from './batch.ts';
import {TableApplier} from './table-applier.ts';

/** A batch after its changes are in the replica's transaction. */
export type Applied = Batch & {
  /** Watermark committed by this batch; null if none (keepalive, open transaction, repetition). */
  readonly version: Version | null;
  readonly upstreamCommitTimeMs: number | null;
  /** Describes a relation's rows for the change log. */
  readonly tableOf: (relation: Relation) => TableApplier;
};

/**
 * Applies batches to the replica: one SQLite transaction per batch, however many upstream transactions it holds; the
 * watermark is written inside. Transactions at or below the watermark are skipped, so a repeated delivery is harmless.
 * Unsubscribing rolls an open transaction back. @throws SchemaChanged, StreamUndecodable, DiskFull, ReplicaUnwritable, ReplicaUnusable.
 */
export const applyBatches = (db: Database, watermark: Version): OperatorFunction<Batch, Applied> =>
  transform(() => {
    const applier = new Applier(db, watermark);
    return batch => [applier.apply(batch)];
  });

class Applier {
  readonly #db: Database;
  readonly #log: ChangeLogWriter;
  readonly #tables = new Map<number, {relation: Relation; table: TableApplier}>();
  #watermark: Version;

  constructor(db: Database, watermark: Version) {
    this.#db = db;
    this.#log = new ChangeLogWriter(db);
    this.#watermark = watermark;
  }

  apply(batch: Batch): Applied {
    const tableOf = (relation: Relation) => this.#table(relation);
    const nothing = {...batch, version: null, upstreamCommitTimeMs: null, tableOf};
    if (batch.kind === 'keepalive') return nothing;
    try {
      let version: Version | null = null;
      let commitTimeMs: number | null = null;
      for (const transaction of batch.transactions) {
        const at = versionOfLsn(transaction.commitLsn);
        if (at <= this.#watermark) continue;
        if (!this.#db.inTransaction) this.#db.exec('BEGIN IMMEDIATE');
        this.#transaction(transaction, at);
        if (transaction.commitTimeMs !== null) {
          version = at;
          commitTimeMs = transaction.commitTimeMs;
        }
      }
      if (batch.open || version === null) return nothing;
      this.#db
        .prepare(`UPDATE "_zero.replicationState" SET stateVersion = ?, writeTimeMs = ?`)
        .run(version, Date.now());
      this.#db.exec('COMMIT');
      this.#watermark = version;
      return {...batch, version, upstreamCommitTimeMs: commitTimeMs, tableOf};
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      throw classify(error);
    }
  }

  #transaction(transaction: TransactionPart, version: Version): void {
    this.#log.begin(version);
    // A description alone means nothing: those of leaf partitions come too, whose rows are sent as the root's.
    for (const item of transaction.items) if (item.tag !== 'relation') this.#change(item, version);
  }

  #change(change: Change, version: Version): void {
    switch (change.tag) {
      case 'insert':
        return this.#table(change.relation).insert(change.new, version);
      case 'update':
        return this.#table(change.relation).update(change, version);
      case 'delete':
        return this.#table(change.relation).delete(change.old);
      case 'truncate':
        for (const relation of change.relations) this.#table(relation).truncate();
    }
  }

  #table(relation: Relation): TableApplier {
    let known = this.#tables.get(relation.oid);
    if (known?.relation !== relation) {
      known = {relation, table: new TableApplier(this.#db, this.#log, relation)};
      this.#tables.set(relation.oid, known);
    }
    return known.table;
  }
}

const classify = (error: unknown): unknown => {
  if (error instanceof DaemonError) return error;
  const ofReplica = replicaError(error);
  if (ofReplica) return ofReplica;
  // What is left is a value that its codec does not understand; its text must not get into messages.
  return new StreamUndecodable('A value in the WAL stream cannot be converted.', {cause: error});
};
