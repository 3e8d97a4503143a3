import type pg from 'pg';
import {ident, literal} from '../pg/identifier.ts';

const CVR_SCHEMA_VERSION = 17;

/** `"{app}_{n}/cvr"`. */
export const cvrSchema = (shard: string): string => ident(`${shard}/cvr`);

/**
 * For connections that serve view records: rows are found by index and statements planned once, whatever the size of the
 * tables was at that moment. What was planned on new tables would read all groups to find some (D-055).
 */
export const CVR_PLANS = 'SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; SET jit = off';

/**
 * Creates the tables of schema version 17 (views.md §2.1), version columns under collation "C" so that text order is
 * version order; the original can go on with them. Left out on `rows`, the largest table by far, is what costs on every
 * write and serves nobody: two indexes that are not prefixed by the group, and the foreign key to `rowsVersion` (a third of
 * the time of a large insert; both servers delete rows explicitly). Beside them two tables of our own: the journal
 * of large row writes, and digests by which the rows of a returning group need not be read.
 */
export const ensureCvrSchema = async (pool: pg.Pool, shard: string): Promise<void> => {
  const cvr = cvrSchema(shard);
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query(`SELECT pg_advisory_xact_lock(hashtext(${literal(`migrate-schema:${shard}/cvr`)}))`);
    await client.query(`
      CREATE SCHEMA IF NOT EXISTS ${cvr};
      CREATE TABLE IF NOT EXISTS ${cvr}."versionHistory" (
        "dataVersion" INT NOT NULL, "schemaVersion" INT NOT NULL, "minSafeVersion" INT NOT NULL,
        lock CHAR(1) PRIMARY KEY DEFAULT 'v' CHECK (lock = 'v'));
      INSERT INTO ${cvr}."versionHistory" ("dataVersion", "schemaVersion", "minSafeVersion")
        VALUES (${CVR_SCHEMA_VERSION}, ${CVR_SCHEMA_VERSION}, 1) ON CONFLICT DO NOTHING;
      CREATE TABLE IF NOT EXISTS ${cvr}.instances (
        "clientGroupID" TEXT PRIMARY KEY, version TEXT COLLATE "C" NOT NULL, "lastActive" TIMESTAMPTZ NOT NULL,
        "ttlClock" DOUBLE PRECISION NOT NULL DEFAULT 0, "replicaVersion" TEXT, owner TEXT, "grantedAt" TIMESTAMPTZ,
        "clientSchema" JSONB, "profileID" TEXT, deleted BOOL DEFAULT FALSE)
        ${REWRITTEN_ROWS};
      CREATE INDEX IF NOT EXISTS instances_last_active ON ${cvr}.instances ("lastActive") WHERE NOT deleted;
      CREATE INDEX IF NOT EXISTS tombstones_last_active ON ${cvr}.instances ("lastActive") WHERE deleted;
      CREATE INDEX IF NOT EXISTS profile_ids_last_active ON ${cvr}.instances ("lastActive", "profileID")
        WHERE "profileID" IS NOT NULL;
      CREATE TABLE IF NOT EXISTS ${cvr}.clients (
        "clientGroupID" TEXT REFERENCES ${cvr}.instances ON DELETE CASCADE, "clientID" TEXT,
        PRIMARY KEY ("clientGroupID", "clientID"));
      CREATE TABLE IF NOT EXISTS ${cvr}.queries (
        "clientGroupID" TEXT REFERENCES ${cvr}.instances ON DELETE CASCADE, "queryHash" TEXT, "clientAST" JSONB,
        "queryName" TEXT, "queryArgs" JSON, "patchVersion" TEXT COLLATE "C", "transformationHash" TEXT,
        "transformationVersion" TEXT COLLATE "C", internal BOOL, deleted BOOL, "rowSetSignature" TEXT,
        PRIMARY KEY ("clientGroupID", "queryHash"));
      CREATE TABLE IF NOT EXISTS ${cvr}.desires (
        "clientGroupID" TEXT, "clientID" TEXT, "queryHash" TEXT, "patchVersion" TEXT COLLATE "C" NOT NULL, deleted BOOL,
        "ttlMs" DOUBLE PRECISION, "inactivatedAtMs" DOUBLE PRECISION, ttl INTERVAL, "inactivatedAt" TIMESTAMPTZ,
        PRIMARY KEY ("clientGroupID", "clientID", "queryHash"),
        FOREIGN KEY ("clientGroupID", "queryHash") REFERENCES ${cvr}.queries ON DELETE CASCADE);
      CREATE TABLE IF NOT EXISTS ${cvr}."rowsVersion" ("clientGroupID" TEXT PRIMARY KEY, version TEXT COLLATE "C" NOT NULL);
      CREATE TABLE IF NOT EXISTS ${cvr}.rows (
        "clientGroupID" TEXT, schema TEXT, "table" TEXT, "rowKey" JSONB,
        "rowVersion" TEXT NOT NULL, "patchVersion" TEXT COLLATE "C" NOT NULL, "refCounts" JSONB,
        PRIMARY KEY ("clientGroupID", schema, "table", "rowKey"));
      CREATE TABLE IF NOT EXISTS ${cvr}."zerostreamJournal" (
        "clientGroupID" TEXT, version TEXT COLLATE "C", part INT, tables TEXT[] NOT NULL, keys TEXT[] NOT NULL,
        "rowVersions" TEXT[] NOT NULL, "refCounts" TEXT[] NOT NULL, first BOOL NOT NULL, PRIMARY KEY ("clientGroupID", version, part));
      CREATE TABLE IF NOT EXISTS ${cvr}."zerostreamRowSets" (
        "clientGroupID" TEXT PRIMARY KEY, version TEXT COLLATE "C" NOT NULL, sets JSON NOT NULL);
      CREATE INDEX IF NOT EXISTS row_patch_version_of_group ON ${cvr}.rows ("clientGroupID", "patchVersion" COLLATE "C")`);
    await storeUncompressed(client, cvr);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  } finally {
    client.release();
  }
};

/** Every commit rewrites the record of its group: with room for the next version on the page no index is touched. */
const REWRITTEN_ROWS = 'WITH (fillfactor = 50)';

/** Journal records live for a moment: compressing them costs more than it saves. */
const storeUncompressed = async (client: pg.PoolClient, cvr: string): Promise<void> => {
  const {rows} = await client.query<{attname: string}>(
    `SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND atttypid = 'text[]'::regtype AND attstorage <> 'e'`,
    [`${cvr}."zerostreamJournal"`],
  );
  for (const {attname} of rows)
    await client.query(`ALTER TABLE ${cvr}."zerostreamJournal" ALTER ${ident(attname)} SET STORAGE EXTERNAL`);
};
