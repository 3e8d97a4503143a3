import {z} from 'zod';
import {liteTableName, type PublishedSchema} from '../pg/published-schema.ts';
import {publishedSchema, type RawPublishedSchema} from '../pg/read-published-schema.ts';
import {TransactionSnapshot} from '../pg/transaction-snapshot.ts';
import type {LogicalMessage, Relation} from '../pgoutput/messages.ts';
import type {Batch, TransactionItem, TransactionPart} from './batch.ts';
import {describes, type SchemaTracker} from './schema-tracker.ts';
import {type SchemaUpdate, schemaUpdate} from './schema-update.ts';

export type Transactions = Batch & {kind: 'transactions'};

/** The item before which the catalog must be read, since what it brings is in no shape that is known. */
export interface Unexplained {
  readonly item: TransactionItem;
  readonly transaction: TransactionPart;
  readonly what: string;
  /**
   * Tables (OIDs) whose rows come with fewer columns than the stream itself has announced before. PostgreSQL sends that when
   * a slot is made amid schema changes, since its decoder then remembers an older shape.
   */
  readonly lacking: ReadonlySet<number>;
}

/** Finds out for each row of a batch whether its shape is known, and turns the messages of event triggers into schema updates. */
export class BatchExplainer {
  readonly #tracker: SchemaTracker;
  readonly #prefix: string | null;
  /** Relations that fit the schema `#fitting`. */
  #fit = new WeakSet<Relation>();
  #fitting: PublishedSchema | null = null;
  /** Transactions with schema messages since the catalog was last read. */
  #announced: number[] = [];

  /** `prefix` of the messages that the shard's event triggers emit; null: any shard's count. */
  constructor(tracker: SchemaTracker, prefix: string | null) {
    this.#tracker = tracker;
    this.#prefix = prefix;
  }

  /** The catalog was read, after everything that was announced until now. */
  catalogRead(): void {
    this.#announced = [];
  }

  /** `read`: the schemas that the catalog gave, each before its item. */
  explain(
    batch: Transactions,
    read: ReadonlyMap<TransactionItem, SchemaUpdate>,
  ): {readonly batch: Transactions} | {readonly unexplained: Unexplained} {
    const {schema, seen} = this.#tracker;
    if (this.#fitting !== schema) {
      this.#fit = new WeakSet();
      this.#fitting = schema;
    }
    const known = new KnownShapes(schema, seen, this.#fit);
    const transactions: TransactionPart[] = [];
    for (const transaction of batch.transactions) {
      const items = this.#explain(transaction, read, known);
      if ('what' in items) return {unexplained: items};
      transactions.push(items === transaction.items ? transaction : {...transaction, items});
    }
    return {batch: {...batch, transactions}};
  }

  /** The items of a transaction, which are its own if nothing has to be followed. */
  #explain(
    transaction: TransactionPart,
    read: ReadonlyMap<TransactionItem, SchemaUpdate>,
    known: KnownShapes,
  ): readonly TransactionItem[] | Unexplained {
    const {items, xid} = transaction;
    // Copied from the first item on that does not stay as it is.
    let followed: TransactionItem[] | null = null;
    for (let i = 0; i < items.length; i++) {
      const item = items[i]!;
      const update = read.get(item);
      if (update) {
        followed ??= items.slice(0, i);
        followed.push(known.follow(update));
      }
      if (item.tag === 'message') {
        followed ??= items.slice(0, i);
        if (!this.#isOurs(item) || known.seen?.sees(xid)) continue;
        const announced = this.#announcement(item, xid, known.seen);
        if (!announced) return {item, transaction, what: 'a schema change', lacking: new Set()};
        followed.push(known.follow(announced));
        this.#announced.push(xid);
        continue;
      }
      const strange = known.strange(item, xid);
      if (strange) {
        const lacks = this.#announced.length > 0 && known.lacks(strange);
        const lacking = new Set(lacks ? [strange.oid] : []);
        return {item, transaction, what: `table ${liteTableName(strange)}`, lacking};
      }
      followed?.push(item);
    }
    return followed ?? items;
  }

  #isOurs({prefix}: LogicalMessage): boolean {
    return this.#prefix === null ? prefix.endsWith('/ddl') : prefix === this.#prefix;
  }

  /** The schema that a trigger's message carries; null if other transactions changed it without this one having seen them. */
  #announcement(message: LogicalMessage, xid: number, seen: TransactionSnapshot | null): SchemaUpdate | null {
    const parsed = parseAnnouncement(message.content);
    if (!parsed) return null;
    if (seen && parsed.snapshot.isOlderThan(seen)) return null;
    if (this.#announced.some(other => other !== xid && !parsed.snapshot.sees(other))) return null;
    return schemaUpdate(publishedSchema(parsed.schema), null, {created: parsed.created});
  }
}

/** What is known of shapes at one place of the stream. */
class KnownShapes {
  #schema: PublishedSchema;
  /** What the last reading of the catalog had seen. */
  seen: TransactionSnapshot | null;
  #fit: WeakSet<Relation>;
  #last: Relation | null = null;

  constructor(schema: PublishedSchema, seen: TransactionSnapshot | null, fit: WeakSet<Relation>) {
    this.#schema = schema;
    this.seen = seen;
    this.#fit = fit;
  }

  follow(update: SchemaUpdate): SchemaUpdate {
    this.#schema = update.schema;
    this.seen = update.seen ?? this.seen;
    this.#fit = new WeakSet();
    this.#last = null;
    return update;
  }

  /** A relation of the item whose shape is not known. */
  strange(item: TransactionItem, xid: number): Relation | null {
    switch (item.tag) {
      case 'insert':
      case 'update':
      case 'delete':
        return this.#fits(item.relation, xid) ? null : item.relation;
      case 'truncate':
        return item.relations.find(relation => !this.#fits(relation, xid)) ?? null;
      default:
        return null;
    }
  }

  /** True if the table has columns that the relation knows nothing of. */
  lacks(relation: Relation): boolean {
    const names = new Set(relation.columns.map(({name}) => name));
    const table = this.#schema.tables.find(({oid}) => oid === relation.oid);
    return table?.columns.some(({name}) => !names.has(name)) ?? false;
  }

  /** A relation that differs from what was read after it is an earlier shape, which the applier knows to map. */
  #fits(relation: Relation, xid: number): boolean {
    if (relation === this.#last) return true;
    if (!this.#fit.has(relation) && !describes(this.#schema, relation) && !this.seen?.sees(xid)) return false;
    this.#fit.add(relation);
    this.#last = relation;
    return true;
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
