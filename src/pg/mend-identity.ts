import type pg from 'pg';
import {ident} from './identifier.ts';
import {type PublishedIndex, type PublishedSchema, quotedName, rowKeys} from './published-schema.ts';

export interface MendedTable {
  /** `"schema"."table"`. */
  readonly table: string;
  /** The statement that was run, or should be. */
  readonly statement: string;
  /** Why it could not be run; null if it was. */
  readonly error: Error | null;
}

/**
 * PostgreSQL refuses to update or delete rows of a published table that has neither a primary key nor another replica
 * identity. Where a unique index over NOT NULL columns can serve, it is made the identity (replication.md §1.4).
 */
export const mendIdentities = async (
  client: pg.ClientBase,
  schema: PublishedSchema,
): Promise<MendedTable[]> => {
  const mended: MendedTable[] = [];
  for (const table of schema.tables) {
    // Of a partitioned table each partition has an identity of its own.
    const plain = table.storage.length === 1 && table.storage[0]!.startsWith(`${table.oid}:`);
    if (table.replicaIdentity !== 'd' || table.primaryKey.length || !plain) continue;
    const [key] = rowKeys(schema, table);
    const index = key && schema.indexes.find(i => serves(i, table, key));
    if (!index) continue;
    const statement = `ALTER TABLE ${quotedName(table)} REPLICA IDENTITY USING INDEX ${ident(index.name)}`;
    mended.push({table: quotedName(table), statement, error: await run(client, statement)});
  }
  return mended;
};

const serves = (
  index: PublishedIndex,
  table: {readonly schema: string; readonly name: string},
  key: readonly string[],
): boolean =>
  index.unique &&
  index.isImmediate &&
  index.schema === table.schema &&
  index.tableName === table.name &&
  index.columns.length === key.length &&
  index.columns.every(({name}, i) => name === key[i]);

/** Waits a moment for the table's lock: nobody's work is to be held up by this. */
const run = async (client: pg.ClientBase, statement: string): Promise<Error | null> => {
  try {
    await client.query(`BEGIN; SET LOCAL lock_timeout = '2s'; ${statement}; COMMIT`);
    return null;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    return error as Error;
  }
};
