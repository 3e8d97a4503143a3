import type pg from 'pg';
import {type RowId, type RowKey, rowId} from '../ivm/row-id.ts';
import {ProtocolError, protocolError} from '../protocol/error-body.ts';
import type {ClientSchema} from '../protocol/up.ts';
import type {AST, JsonValue} from '../zql/ast.ts';
import {cvrSchema} from './schema.ts';
import {clampTtl} from './ttl.ts';
import type {Cvr, QueryRecord, RowRecord} from './types.ts';
import {EMPTY, parseCookie} from './version.ts';

interface InstanceRow {
  version: string;
  ttlClock: number;
  replicaVersion: string | null;
  owner: string | null;
  grantedAtMs: number | null;
  clientSchema: ClientSchema | null;
  profileID: string | null;
  deleted: boolean;
  rowsVersion: string | null;
}

export interface LoadOptions {
  readonly shard: string;
  readonly clientGroupID: string;
  readonly taskID: string;
  readonly connectTimeMs: number;
}

/**
 * Reads a group's view record without its rows in one snapshot; a new one if there is none (views.md §2.2).
 * @throws ProtocolError `ClientNotFound` if it was purged, `Rehome` if a newer connection holds it elsewhere.
 */
export const loadCvr = async (pool: pg.Pool, options: LoadOptions): Promise<Cvr> => {
  const {clientGroupID} = options;
  const cvr = cvrSchema(options.shard);
  const empty: Cvr = {
    clientGroupID,
    version: EMPTY,
    replicaVersion: null,
    clientSchema: null,
    profileID: null,
    ttlClockMs: 0,
    clients: new Set(),
    queries: new Map(),
  };
  const client = await pool.connect();
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const instance = (
      await client.query<InstanceRow>(
        `SELECT i.version, i."ttlClock", i."replicaVersion", i.owner, extract(epoch FROM i."grantedAt")::float8 * 1000 AS "grantedAtMs",
           i."clientSchema", i."profileID", i.deleted, r.version AS "rowsVersion"
         FROM ${cvr}.instances i LEFT JOIN ${cvr}."rowsVersion" r USING ("clientGroupID") WHERE i."clientGroupID" = $1`,
        [clientGroupID],
      )
    ).rows[0];
    if (!instance) return empty;
    if (instance.deleted) throw protocolError('ClientNotFound', 'Client has been purged due to inactivity');
    if (instance.owner !== options.taskID && (instance.grantedAtMs ?? 0) > options.connectTimeMs)
      throw rehome('A newer connection of the client group is served elsewhere.');
    if (instance.version !== (instance.rowsVersion ?? '00'))
      throw protocolError('ClientNotFound', 'The stored rows of the client group are behind its version.');
    const clients = await client.query<{clientID: string}>(
      `SELECT "clientID" FROM ${cvr}.clients WHERE "clientGroupID" = $1`,
      [clientGroupID],
    );
    const queries = await client.query<QueryRow>(
      `SELECT "queryHash", "clientAST", "queryName", "queryArgs", "patchVersion", "transformationHash",
         "transformationVersion", internal FROM ${cvr}.queries
       WHERE "clientGroupID" = $1 AND deleted IS DISTINCT FROM true`,
      [clientGroupID],
    );
    const desires = await client.query<DesireRow>(
      `SELECT "clientID", "queryHash", deleted, "ttlMs", "inactivatedAtMs" FROM ${cvr}.desires WHERE "clientGroupID" = $1`,
      [clientGroupID],
    );
    return {
      ...empty,
      version: parseCookie(instance.version),
      replicaVersion: instance.replicaVersion,
      clientSchema: instance.clientSchema,
      profileID: instance.profileID,
      ttlClockMs: instance.ttlClock,
      clients: new Set(clients.rows.map(row => row.clientID)),
      queries: new Map(queries.rows.map(row => [row.queryHash, queryRecord(row, desires.rows)])),
    };
  } finally {
    await client.query('COMMIT').catch(() => {});
    client.release();
  }
};

interface QueryRow {
  queryHash: string;
  clientAST: AST | null;
  queryName: string | null;
  queryArgs: JsonValue[] | null;
  patchVersion: string | null;
  transformationHash: string | null;
  transformationVersion: string | null;
  internal: boolean | null;
}

interface DesireRow {
  clientID: string;
  queryHash: string;
  deleted: boolean | null;
  ttlMs: number | null;
  inactivatedAtMs: number | null;
}

const queryRecord = (row: QueryRow, desires: readonly DesireRow[]): QueryRecord => ({
  hash: row.queryHash,
  ast: row.clientAST,
  name: row.queryName,
  args: row.queryArgs,
  internal: row.internal ?? false,
  patchVersion: row.patchVersion,
  transformationHash: row.transformationHash,
  transformationVersion: row.transformationVersion,
  desires: new Map(
    desires
      // A cleared desire is deleted without a time: nothing of it is left to run out.
      .filter(
        desire => desire.queryHash === row.queryHash && !(desire.deleted && desire.inactivatedAtMs === null),
      )
      .map(desire => [
        desire.clientID,
        {
          ttlMs: clampTtl(desire.ttlMs ?? undefined),
          inactivatedAtMs: desire.inactivatedAtMs,
          deleted: desire.deleted ?? false,
        },
      ]),
  ),
});

export const rehome = (message: string): ProtocolError =>
  new ProtocolError({kind: 'Rehome', message, origin: 'zeroCache', maxBackoffMs: 0});

/** All rows that clients of the group hold. */
export const loadRows = async (
  pool: pg.Pool,
  shard: string,
  clientGroupID: string,
): Promise<Map<RowId, RowRecord>> => {
  const {rows} = await pool.query<{table: string; rowKey: RowKey; rowVersion: string}>(
    `SELECT "table", "rowKey", "rowVersion" FROM ${cvrSchema(shard)}.rows
     WHERE "clientGroupID" = $1 AND "refCounts" IS NOT NULL`,
    [clientGroupID],
  );
  return new Map(
    rows.map(row => {
      const id = rowId(row.table, row.rowKey);
      return [id, {id, rowVersion: row.rowVersion}];
    }),
  );
};
