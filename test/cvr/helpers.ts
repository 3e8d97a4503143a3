import pino from 'pino';
import {CatchUpReader} from '../../src/cvr/catch-up.ts';
import {RowJournal} from '../../src/cvr/journal.ts';
import {CvrLoader} from '../../src/cvr/load.ts';
import {cvrSchema, ensureCvrSchema} from '../../src/cvr/schema.ts';
import {CvrStore} from '../../src/cvr/store.ts';
import type {CvrUpdate, RowColumns} from '../../src/cvr/types.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';

export const SHARD = 'zero_0';
export const CVR = cvrSchema(SHARD);

/** One server's access to the view records. */
export const server = (db: TestDatabase, taskID: string) => {
  const journal = new RowJournal(db.pool, SHARD, pino({level: 'silent'}));
  return {
    journal,
    store: new CvrStore(db.pool, SHARD, taskID, journal),
    loader: new CvrLoader(db.pool, SHARD, taskID, journal),
    catchUps: new CatchUpReader(db.pool, SHARD, journal),
  };
};

export const cvrDatabase = async (): Promise<TestDatabase> => {
  const db = await createDatabase();
  await ensureCvrSchema(db.pool, SHARD);
  return db;
};

/** An update that changes nothing but the version, and what is given. */
export const update = (
  clientGroupID: string,
  expectedVersion: string,
  version: string,
  rest: Partial<CvrUpdate> = {},
): CvrUpdate => ({
  clientGroupID,
  expectedVersion,
  version,
  connectTimeMs: 1000,
  ttlClockMs: 0,
  replicaVersion: '01',
  clientSchema: null,
  profileID: null,
  newClients: [],
  deletedClients: [],
  queries: [],
  desires: [],
  rows: [],
  ...rest,
});

export const query = (hash: string, patchVersion: string | null, deleted = false) => ({
  hash,
  ast: {table: 'issue'},
  name: null,
  args: null,
  internal: false,
  patchVersion,
  transformationHash: patchVersion && 'zs-h',
  transformationVersion: patchVersion,
  deleted,
});

export interface TestRow {
  readonly id: string;
  /** null: a tombstone; '' a change of references alone. */
  readonly version: string | null;
  readonly queries?: readonly string[];
}

export const rows = (...list: readonly TestRow[]): RowColumns => ({
  tables: list.map(() => 'issue'),
  keys: list.map(({id}) => JSON.stringify({id})),
  rowVersions: list.map(({version}) => version ?? ''),
  refCounts: list.map(({version, queries = ['q1']}) =>
    version === null ? null : JSON.stringify(Object.fromEntries(queries.map(hash => [hash, 1]))),
  ),
});

export const many = (count: number, version: string): RowColumns =>
  rows(...Array.from({length: count}, (_, i) => ({id: `i${i}`, version})));

/** All of `rows`, and how far they are, as another server reads it. */
export const stored = async (db: TestDatabase, clientGroupID: string) => {
  const found = await db.query(
    `SELECT "rowKey"->>'id' AS id, "rowVersion", "patchVersion", "refCounts" FROM ${CVR}.rows
     WHERE "clientGroupID" = $1 ORDER BY 1`,
    [clientGroupID],
  );
  const version = await db.query(`SELECT version FROM ${CVR}."rowsVersion" WHERE "clientGroupID" = $1`, [
    clientGroupID,
  ]);
  return {rows: found.rows, rowsVersion: version.rows[0]?.version as string | undefined};
};
