import type pg from 'pg';
import {ident, literal} from '../pg/identifier.ts';
import type {Version} from '../pg/lsn.ts';

/** Schema of a shard's change log: `"{app}_{n}/cdc"` (replication.md §6.1). */
export const changeLogSchema = (shard: string): string => ident(`${shard}/cdc`);

export interface ChangeLogIdentity {
  readonly shard: string;
  readonly replicaVersion: Version;
  readonly publications: readonly string[];
  /** Task that owns the log from now on. */
  readonly owner: string;
}

/**
 * Creates the tables and takes ownership. A log that belongs to another replica is emptied: what it holds leads nowhere.
 * @returns the newest version in the log.
 */
export const openChangeLog = async (pool: pg.Pool, identity: ChangeLogIdentity): Promise<Version> => {
  const cdc = changeLogSchema(identity.shard);
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query(
      `SELECT pg_advisory_xact_lock(hashtext(${literal(`migrate-schema:${identity.shard}/cdc`)}))`,
    );
    await client.query(`
      CREATE SCHEMA IF NOT EXISTS ${cdc};
      CREATE TABLE IF NOT EXISTS ${cdc}."changeLog" (
        watermark TEXT COLLATE "C", pos INT8, change JSON NOT NULL, precommit TEXT, PRIMARY KEY (watermark, pos));
      CREATE TABLE IF NOT EXISTS ${cdc}."replicationConfig" (
        "replicaVersion" TEXT NOT NULL, publications TEXT[] NOT NULL, "resetRequired" BOOL,
        lock INT PRIMARY KEY DEFAULT 1 CHECK (lock = 1));
      CREATE TABLE IF NOT EXISTS ${cdc}."replicationState" (
        "lastWatermark" TEXT NOT NULL, owner TEXT, "ownerAddress" TEXT, lock INT PRIMARY KEY DEFAULT 1 CHECK (lock = 1));
      CREATE TABLE IF NOT EXISTS ${cdc}."tableMetadata" (
        "schema" TEXT NOT NULL, "table" TEXT NOT NULL, metadata JSONB NOT NULL, PRIMARY KEY ("schema", "table"));
      CREATE TABLE IF NOT EXISTS ${cdc}."backfilling" (
        "schema" TEXT NOT NULL, "table" TEXT NOT NULL, "column" TEXT NOT NULL, backfill JSONB NOT NULL,
        PRIMARY KEY ("schema", "table", "column"))`);
    const {rows} = await client.query<{replicaVersion: string; lastWatermark: string}>(
      `SELECT c."replicaVersion", s."lastWatermark" FROM ${cdc}."replicationConfig" c, ${cdc}."replicationState" s FOR UPDATE`,
    );
    let last = rows[0]?.lastWatermark;
    if (rows[0]?.replicaVersion !== identity.replicaVersion || last === undefined) {
      last = identity.replicaVersion;
      await client.query(
        `TRUNCATE ${cdc}."replicationState", ${cdc}."changeLog", ${cdc}."replicationConfig", ${cdc}."tableMetadata", ${cdc}."backfilling"`,
      );
      await client.query(
        `INSERT INTO ${cdc}."replicationConfig" ("replicaVersion", publications) VALUES ($1, $2)`,
        [identity.replicaVersion, identity.publications],
      );
      await client.query(`INSERT INTO ${cdc}."replicationState" ("lastWatermark") VALUES ($1)`, [last]);
      // The minimum of the log is the oldest position to resume from, so it is never empty.
      await client.query(
        `INSERT INTO ${cdc}."changeLog" (watermark, pos, change, precommit)
         VALUES ($1, 0, '{"tag":"begin"}', NULL), ($1, 1, '{"tag":"commit"}', $1)`,
        [last],
      );
    }
    await client.query(`UPDATE ${cdc}."replicationState" SET owner = $1`, [identity.owner]);
    await client.query('COMMIT');
    return last;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  } finally {
    client.release();
  }
};
