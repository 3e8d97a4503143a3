import type {PublishedSchema} from '../pg/published-schema.ts';
import type {SchemaChange} from '../pg/schema-diff.ts';
import type {TransactionSnapshot} from '../pg/transaction-snapshot.ts';

/** "From here on the published schema is this": at its place in a transaction, or beside the stream. */
export interface SchemaUpdate {
  readonly tag: 'schema';
  readonly schema: PublishedSchema;
  /** Tables (OIDs) whose rows all follow in the stream, because this very transaction created them empty. */
  readonly created: ReadonlySet<number>;
  /** Tables (OIDs) of which the stream brings less than it should: their rows are read beside it. */
  readonly lacking: ReadonlySet<number>;
  /** What the reader saw if the schema comes from the catalog and may be ahead of the stream; null if it is exact. */
  readonly seen: TransactionSnapshot | null;
  /** What the applier made of it, for the change log; empty until then, and if the replica already had it. */
  changes: readonly SchemaChange[];
  /** Set by the applier: how many updates of its batch were applied up to this one; 0 if it was not. */
  epoch: number;
}

export const schemaUpdate = (
  schema: PublishedSchema,
  seen: TransactionSnapshot | null,
  {created = new Set(), lacking = new Set()}: Partial<Pick<SchemaUpdate, 'created' | 'lacking'>> = {},
): SchemaUpdate => ({tag: 'schema', schema, created, lacking, seen, changes: [], epoch: 0});
