import type pg from 'pg';
import {type RowId, type RowKey, rowId} from '../ivm/row-id.ts';
import type {DownQueryOp} from '../protocol/down.ts';
import {cvrSchema} from './schema.ts';
import type {CvrVersion} from './version.ts';
import {formatVersion} from './version.ts';

/** What changed in a group's view after a version (views.md §2.6). Rows without contents: these are read from the replica. */
export interface CatchUp {
  readonly rows: readonly {
    readonly id: RowId;
    readonly table: string;
    readonly key: RowKey;
    readonly live: boolean;
  }[];
  readonly got: readonly DownQueryOp[];
  readonly desired: Readonly<Record<string, readonly DownQueryOp[]>>;
}

/** Reads in one snapshot; deletions are remembered as long as the view record lives. */
export const readCatchUp = async (
  pool: pg.Pool,
  shard: string,
  clientGroupID: string,
  from: CvrVersion,
): Promise<CatchUp> => {
  const cvr = cvrSchema(shard);
  const params = [clientGroupID, formatVersion(from)];
  // One statement is one snapshot.
  const {rows} = await pool.query<{
    rows: RowPatch[] | null;
    queries: QueryPatch[] | null;
    desires: DesirePatch[] | null;
  }>(
    `SELECT
       (SELECT json_agg(json_build_object('table', "table", 'key', "rowKey", 'live', "refCounts" IS NOT NULL))
        FROM ${cvr}.rows WHERE "clientGroupID" = $1 AND "patchVersion" > $2) AS rows,
       (SELECT json_agg(json_build_object('hash', "queryHash", 'deleted', deleted IS TRUE))
        FROM ${cvr}.queries WHERE "clientGroupID" = $1 AND "patchVersion" > $2) AS queries,
       (SELECT json_agg(json_build_object('hash', "queryHash", 'client', "clientID", 'deleted', deleted IS TRUE))
        FROM ${cvr}.desires WHERE "clientGroupID" = $1 AND "patchVersion" > $2) AS desires`,
    params,
  );
  const found = rows[0]!;
  const desired: Record<string, DownQueryOp[]> = {};
  for (const {client, hash, deleted} of found.desires ?? [])
    (desired[client] ??= []).push(operation(hash, deleted));
  return {
    rows: (found.rows ?? []).map(row => ({...row, id: rowId(row.table, row.key)})),
    got: (found.queries ?? []).map(({hash, deleted}) => operation(hash, deleted)),
    desired,
  };
};

interface RowPatch {
  table: string;
  key: RowKey;
  live: boolean;
}
interface QueryPatch {
  hash: string;
  deleted: boolean;
}
interface DesirePatch extends QueryPatch {
  client: string;
}

const operation = (hash: string, deleted: boolean): DownQueryOp => ({op: deleted ? 'del' : 'put', hash});
