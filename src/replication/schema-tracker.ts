import type {PublishedSchema, PublishedTable} from '../pg/published-schema.ts';
import type {TransactionSnapshot} from '../pg/transaction-snapshot.ts';
import type {Relation} from '../pgoutput/messages.ts';

/** Earlier shapes of a table that a late relation message may still name. */
const SHAPES_KEPT = 20;

/**
 * The schema that the replica mirrors, and what is known of how it came about. Written by the applier, read by the stage
 * before it: both run in one synchronous step.
 */
export class SchemaTracker {
  #schema: PublishedSchema;
  #tables: ReadonlyMap<number, PublishedTable>;
  #leftOut: ReadonlySet<number>;
  readonly #shapes = new Map<number, PublishedTable[]>();
  /** Tables truncated since their files were noted. */
  readonly truncated = new Set<number>();
  /** The reader's snapshot of the last catalog that was applied: what it saw needs not be looked up again. */
  seen: TransactionSnapshot | null = null;
  #generation = 0;

  constructor(schema: PublishedSchema) {
    this.#schema = schema;
    this.#tables = byOid(schema);
    this.#leftOut = new Set(schema.leftOut.map(table => table.oid));
  }

  get schema(): PublishedSchema {
    return this.#schema;
  }

  /** Counts the schemas so far. */
  get generation(): number {
    return this.#generation;
  }

  table(oid: number): PublishedTable | undefined {
    return this.#tables.get(oid);
  }

  isLeftOut(oid: number): boolean {
    return this.#leftOut.has(oid);
  }

  /** Earlier shapes of a table, newest first. */
  shapes(oid: number): readonly PublishedTable[] {
    return this.#shapes.get(oid) ?? [];
  }

  advance(schema: PublishedSchema): void {
    this.#generation++;
    for (const table of this.#schema.tables) {
      const shapes = this.#shapes.get(table.oid) ?? [];
      this.#shapes.set(table.oid, [table, ...shapes].slice(0, SHAPES_KEPT));
    }
    this.#schema = schema;
    this.#tables = byOid(schema);
    this.#leftOut = new Set(schema.leftOut.map(table => table.oid));
    this.truncated.clear();
  }
}

const byOid = (schema: PublishedSchema): Map<number, PublishedTable> =>
  new Map(schema.tables.map(table => [table.oid, table]));

/** Names and types of the columns are the relation's, in its order. */
export const sameColumns = (relation: Relation, table: PublishedTable): boolean =>
  relation.columns.length === table.columns.length &&
  relation.columns.every((column, i) => {
    const known = table.columns[i]!;
    return known.name === column.name && known.typeOid === column.typeOid;
  });

/** True if a relation message describes nothing but what `schema` says. */
export const describes = (schema: PublishedSchema, relation: Relation): boolean => {
  const table = schema.tables.find(t => t.oid === relation.oid);
  if (!table) return schema.leftOut.some(t => t.oid === relation.oid);
  if (table.name !== relation.name || table.schema !== relation.schema) return false;
  if (table.replicaIdentity !== relation.replicaIdentity || !sameColumns(relation, table)) return false;
  if (relation.replicaIdentity !== 'd') return true;
  const key = relation.columns.filter(column => column.isKey).map(column => column.name);
  return key.length === table.primaryKey.length && key.every(name => table.primaryKey.includes(name));
};
