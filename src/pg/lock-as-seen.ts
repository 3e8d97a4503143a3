import type pg from 'pg';
import {type PublishedTable, quotedName} from './published-schema.ts';

/**
 * Keeps a table from being altered until the transaction ends, and tells whether it is still the one that the
 * transaction's snapshot shows: PostgreSQL lets older snapshots see a rewritten table as empty.
 */
export const lockAsSeen = async (client: pg.ClientBase, table: PublishedTable): Promise<boolean> => {
  await client.query(`LOCK TABLE ${quotedName(table)} IN ACCESS SHARE MODE`);
  const {rows} = await client.query<{same: boolean; leaves: string}>(
    // The functions see the newest state, whatever the snapshot.
    `SELECT COALESCE(bool_and(pg_relation_filenode(split_part(f, ':', 1)::oid) = split_part(f, ':', 2)::oid), true) AS same,
       (SELECT count(*) FROM pg_partition_tree($2::oid) WHERE isleaf) AS leaves
     FROM unnest($1::text[]) AS f`,
    [table.storage, table.oid],
  );
  const {same, leaves} = rows[0]!;
  const partitioned = table.storage.length !== 1 || !table.storage[0]!.startsWith(`${table.oid}:`);
  return same && (!partitioned || Number(leaves) === table.storage.length);
};
