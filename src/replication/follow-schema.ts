import {type MonoTypeOperatorFunction, Observable, type Subscriber} from 'rxjs';
import {z} from 'zod';
import {SchemaChanged} from '../errors.ts';
import type {CatalogReader, CatalogState} from '../pg/catalog.ts';
import type {Lsn} from '../pg/lsn.ts';
import {liteTableName} from '../pg/published-schema.ts';
import {publishedSchema, type RawPublishedSchema} from '../pg/read-published-schema.ts';
import {TransactionSnapshot} from '../pg/transaction-snapshot.ts';
import type {LogicalMessage, Relation} from '../pgoutput/messages.ts';
import type {Batch, TransactionItem, TransactionPart} from './batch.ts';
import {describes, type SchemaTracker} from './schema-tracker.ts';
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
  /** Stops and restarts the source while the catalog is read. */
  readonly hold: () => void;
  readonly release: () => void;
}

/**
 * Sees to it that the applier knows the shape of every row it gets (replication.md §4). Messages of the event triggers
 * become schema updates at their very place. Where a row's relation is not what is known, because there are no triggers or
 * they were off, the catalog is read and the source waits. Between transactions it lets in what waits at the side.
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

type Transactions = Batch & {kind: 'transactions'};
/** A batch whose shapes are all known, or the item and transaction before which the catalog must be read. */
type Explained = {readonly batch: Batch} | {readonly unexplained: TransactionItem; readonly xid: number};

class Follower {
  readonly #deps: FollowSchemaDeps;
  readonly #out: Subscriber<Batch>;
  #queue: Batch[] = [];
  #reading = false;
  /** True within an upstream transaction that came in parts. */
  #open = false;
  /** Commit of the last transaction passed on. */
  #position: Lsn = 0n;
  #completed = false;
  /** Relations that fit the schema `#fitting`. */
  #fit = new WeakSet<Relation>();
  #fitting: unknown = null;
  /** Transactions with schema messages since the catalog was last read. */
  #announced: number[] = [];

  constructor(deps: FollowSchemaDeps, out: Subscriber<Batch>) {
    this.#deps = deps;
    this.#out = out;
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
    while (!this.#reading && !this.#out.closed) {
      if (!this.#open) this.#letIn();
      const batch = this.#queue.shift();
      if (!batch) break;
      if (batch.kind !== 'transactions') this.#emit(batch);
      else this.#explain(batch);
    }
    if (this.#completed && !this.#reading && !this.#queue.length) this.#out.complete();
  }

  #letIn(): void {
    for (let entry = this.#deps.side.take(); entry; entry = this.#deps.side.take()) {
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
    const inserted = new Map<TransactionItem, SchemaUpdate>();
    try {
      const explained = this.#scan(batch, inserted);
      if ('batch' in explained) return this.#emit(explained.batch);
      this.#reading = true;
      this.#deps.hold();
      this.#readFor(batch, inserted, explained).then(
        whole => {
          this.#reading = false;
          this.#deps.release();
          this.#emit(whole);
          this.#pump();
        },
        error => this.#out.error(error),
      );
    } catch (error) {
      this.#out.error(error);
    }
  }

  /** Reads the catalog as often as the batch needs it: usually once. */
  async #readFor(
    batch: Transactions,
    inserted: Map<TransactionItem, SchemaUpdate>,
    first: Explained,
  ): Promise<Batch> {
    let explained = first;
    while (!('batch' in explained)) {
      const {unexplained, xid} = explained;
      const state = await this.#deps.catalog!.read(xid);
      const transaction = batch.transactions.find(({items}) => items.includes(unexplained))!;
      this.#deps.witness?.catalog(state, transaction.commitLsn);
      inserted.set(unexplained, schemaUpdate(state.schema, state.snapshot));
      this.#announced = [];
      explained = this.#scan(batch, inserted);
    }
    return explained.batch;
  }

  #scan(batch: Transactions, inserted: ReadonlyMap<TransactionItem, SchemaUpdate>): Explained {
    const {tracker} = this.#deps;
    let {schema, seen} = tracker;
    if (this.#fitting !== schema) {
      this.#fit = new WeakSet();
      this.#fitting = schema;
    }
    let fit = this.#fit;
    let last: Relation | null = null;
    /** A relation that differs from what was read after it is an earlier shape, which the applier knows to map. */
    const fits = (relation: Relation, xid: number): boolean => {
      if (relation === last) return true;
      if (!fit.has(relation) && !describes(schema, relation) && !seen?.sees(xid)) return false;
      fit.add(relation);
      last = relation;
      return true;
    };
    const transactions: TransactionPart[] = [];
    for (const transaction of batch.transactions) {
      const {xid} = transaction;
      // Copied from the first item on that does not stay as it is.
      let items: TransactionItem[] | null = null;
      const follow = (update: SchemaUpdate, i: number) => {
        items ??= transaction.items.slice(0, i);
        items.push(update);
        schema = update.schema;
        seen = update.seen ?? seen;
        fit = new WeakSet();
        last = null;
      };
      for (let i = 0; i < transaction.items.length; i++) {
        const item = transaction.items[i]!;
        const update = inserted.size ? inserted.get(item) : undefined;
        if (update) follow(update, i);
        switch (item.tag) {
          case 'message': {
            items ??= transaction.items.slice(0, i);
            if (!this.#isOurs(item) || seen?.sees(xid)) continue;
            const announced = this.#announcement(item, xid, seen);
            if (!announced) return this.#unexplained(item, xid, 'a schema change');
            follow(announced, i);
            this.#announced.push(xid);
            continue;
          }
          case 'insert':
          case 'update':
          case 'delete':
            if (!fits(item.relation, xid))
              return this.#unexplained(item, xid, `table ${liteTableName(item.relation)}`);
            break;
          case 'truncate':
            for (const relation of item.relations)
              if (!fits(relation, xid))
                return this.#unexplained(item, xid, `table ${liteTableName(relation)}`);
        }
        items?.push(item);
      }
      transactions.push(items ? {...transaction, items} : transaction);
    }
    return {batch: {...batch, transactions}};
  }

  #unexplained(item: TransactionItem, xid: number, what: string): Explained {
    if (!this.#deps.catalog)
      throw new SchemaChanged(
        `The stream brings ${what} in a shape that only upstream's catalog could explain.`,
      );
    return {unexplained: item, xid};
  }

  #isOurs({prefix}: LogicalMessage): boolean {
    return this.#deps.prefix === null ? prefix.endsWith('/ddl') : prefix === this.#deps.prefix;
  }

  /** The schema that a trigger's message carries; null if other transactions changed it without this one having seen them. */
  #announcement(message: LogicalMessage, xid: number, seen: TransactionSnapshot | null): SchemaUpdate | null {
    const parsed = parseAnnouncement(message.content);
    if (!parsed) return null;
    if (seen && parsed.snapshot.isOlderThan(seen)) return null;
    if (this.#announced.some(other => other !== xid && !parsed.snapshot.sees(other))) return null;
    return schemaUpdate(publishedSchema(parsed.schema), null, parsed.created);
  }
}

const announcement = z.object({
  type: z.enum(['ddlUpdate', 'schemaSnapshot']),
  version: z.literal(1),
  schema: z.custom<RawPublishedSchema>(value => typeof value === 'object' && value !== null),
  snapshot: z.string(),
  created: z.array(z.number()),
});

/** null for a message of another version: the catalog tells the same. */
const parseAnnouncement = (content: Buffer) => {
  try {
    const {schema, snapshot, created} = announcement.parse(JSON.parse(content.toString()));
    return {schema, snapshot: new TransactionSnapshot(snapshot), created: new Set(created)};
  } catch {
    return null;
  }
};
