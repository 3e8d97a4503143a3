import {type MonoTypeOperatorFunction, Observable, type Subscriber} from 'rxjs';
import {SchemaChanged} from '../errors.ts';
import type {CatalogReader, CatalogState} from '../pg/catalog.ts';
import type {Lsn} from '../pg/lsn.ts';
import type {Batch, TransactionItem} from './batch.ts';
import {BatchExplainer, type Transactions, type Unexplained} from './explain-batch.ts';
import type {SchemaTracker} from './schema-tracker.ts';
import {type SchemaUpdate, schemaUpdate} from './schema-update.ts';
import type {SideChannel} from './side-channel.ts';

/** Told of everything that reaches the replica but is not in the stream. */
export interface SideWitness {
  /** The batch was let in after the transaction that commits at `after` (0: before any of this connection). */
  aside(batch: Batch, after: Lsn): void;
  /** The catalog was read for the transaction that commits at `before`. */
  catalog(state: CatalogState, before: Lsn): void;
}

export interface FollowSchemaDeps {
  readonly tracker: SchemaTracker;
  readonly side: SideChannel;
  /** null (in a replay): only schemas that the stream itself carries are followed. */
  readonly catalog: CatalogReader | null;
  /** Prefix of the messages that the shard's event triggers emit; null in a replay, where any shard's count. */
  readonly prefix: string | null;
  readonly witness?: SideWitness | undefined;
  /** Resolves when all that was applied is written to the change log; null: it is. Left out where there is no log. */
  readonly logged?: (() => Promise<void> | null) | undefined;
  /** Stops and restarts the source while the catalog is read, or the change log is written. */
  readonly hold: () => void;
  readonly release: () => void;
}

/**
 * Sees to it that the applier knows the shape of every row it gets (replication.md §4). Messages of the event triggers
 * become schema updates at their very place. Where a row's relation is not what is known, because there are no triggers or
 * they were off, the catalog is read and the source waits; so it does for the change log before the commit of a change of
 * shape, which must not be in the replica alone for long (D-042). Between transactions it lets in what waits at the side.
 * @throws SchemaChanged if there is no catalog to read.
 */
export const followSchema =
  (deps: FollowSchemaDeps): MonoTypeOperatorFunction<Batch> =>
  source =>
    new Observable(out => {
      const follower = new Follower(deps, out);
      const subscription = source.subscribe({
        next: batch => follower.take(batch),
        error: error => out.error(error),
        complete: () => follower.complete(),
      });
      return () => {
        subscription.unsubscribe();
        deps.side.close();
      };
    });

/** Passes batches on in order, and stops before the one that the catalog must explain. */
class Follower {
  readonly #deps: FollowSchemaDeps;
  readonly #out: Subscriber<Batch>;
  readonly #explainer: BatchExplainer;
  #queue: Batch[] = [];
  #waits = false;
  /** True within an upstream transaction that came in parts. */
  #open = false;
  /** True if that transaction has changed the schema. */
  #reshapes = false;
  /** Commit of the last transaction passed on. */
  #position: Lsn = 0n;
  #completed = false;

  constructor(deps: FollowSchemaDeps, out: Subscriber<Batch>) {
    this.#deps = deps;
    this.#out = out;
    this.#explainer = new BatchExplainer(deps.tracker, deps.prefix);
    deps.side.onPush(() => this.#pump());
  }

  take(batch: Batch): void {
    this.#queue.push(batch);
    this.#pump();
  }

  complete(): void {
    this.#completed = true;
    this.#pump();
  }

  #pump(): void {
    while (!this.#waits && !this.#out.closed) {
      if (!this.#open) this.#letIn();
      if (this.#waits) break;
      const batch = this.#queue.shift();
      if (!batch) break;
      if (batch.kind !== 'transactions') this.#emit(batch);
      else this.#explain(batch);
    }
    if (this.#completed && !this.#waits && !this.#queue.length) this.#out.complete();
  }

  #letIn(): void {
    const {side, logged} = this.#deps;
    for (;;) {
      const written = side.next && reshapes(side.next) ? logged?.() : null;
      if (written) return this.#wait(written, () => {});
      const entry = side.take();
      if (!entry) return;
      this.#out.next(entry.batch);
      if (this.#out.closed) return;
      this.#deps.witness?.aside(entry.batch, this.#position);
      entry.resolve();
    }
  }

  #emit(batch: Batch): void {
    this.#open = batch.kind === 'transactions' && batch.open;
    this.#out.next(batch);
    if (this.#open || this.#out.closed) return;
    if (batch.kind === 'keepalive') this.#deps.side.advance(batch.lsn);
    else if (batch.kind === 'transactions') {
      this.#position = batch.transactions.at(-1)!.commitLsn;
      this.#deps.side.advance(this.#position);
    }
  }

  #explain(batch: Transactions): void {
    try {
      const read = new Map<TransactionItem, SchemaUpdate>();
      const explained = this.#explainer.explain(batch, read);
      if ('batch' in explained) {
        const written = this.#logged(batch, explained.batch);
        if (written) this.#wait(written, () => this.#emit(explained.batch));
        else this.#emit(explained.batch);
      } else if (this.#deps.catalog)
        this.#wait(this.#readFor(this.#deps.catalog, batch, read, explained.unexplained), whole =>
          this.#emit(whole),
        );
      else
        throw new SchemaChanged(
          `The stream brings ${explained.unexplained.what} in a shape that only upstream's catalog could explain.`,
        );
    } catch (error) {
      this.#out.error(error);
    }
  }

  /** The source stands still until `work` is done. */
  #wait<T>(work: Promise<T>, then: (result: T) => void): void {
    this.#waits = true;
    this.#deps.hold();
    work.then(
      result => {
        this.#waits = false;
        this.#deps.release();
        then(result);
        this.#pump();
      },
      error => this.#out.error(error),
    );
  }

  /** What is to be waited for before a batch goes on that commits a change of the schema. */
  #logged(batch: Transactions, explained: Transactions): Promise<void> | null {
    // Those with a schema update are others than came.
    this.#reshapes ||= explained.transactions.some((transaction, i) => transaction !== batch.transactions[i]);
    if (!this.#reshapes || batch.open) return null;
    this.#reshapes = false;
    return this.#deps.logged?.() ?? null;
  }

  /** Reads the catalog as often as the batch needs it: usually once. */
  async #readFor(
    catalog: CatalogReader,
    batch: Transactions,
    read: Map<TransactionItem, SchemaUpdate>,
    first: Unexplained,
  ): Promise<Batch> {
    for (let unexplained = first; ; ) {
      const {item, transaction, lacking} = unexplained;
      const state = await catalog.read(transaction.xid);
      this.#deps.witness?.catalog(state, transaction.commitLsn);
      read.set(item, schemaUpdate(state.schema, state.snapshot, {lacking}));
      this.#explainer.catalogRead();
      const explained = this.#explainer.explain(batch, read);
      if ('batch' in explained) {
        await this.#logged(batch, explained.batch);
        return explained.batch;
      }
      unexplained = explained.unexplained;
    }
  }
}

/** Whether the replica has another shape afterwards. */
const reshapes = (batch: Batch): boolean =>
  batch.kind === 'schema' || (batch.kind === 'backfill' && batch.step.tag === 'end');
