import type pg from 'pg';
import {shardName, type ZeroConfig} from '../config/config.ts';
import {DaemonError, TakenOver} from '../errors.ts';
import type {Log} from '../observe/log.ts';
import {connect} from '../pg/connect.ts';
import {explainRefusal} from '../pg/explain-refusal.ts';
import {ident, literal} from '../pg/identifier.ts';
import type {Version} from '../pg/lsn.ts';
import {unavailable} from './unavailable.ts';

/** Schema of a shard's change log: `"{app}_{n}/cdc"` (replication.md §6.1). */
export const changeLogSchema = (shard: string): string => ident(`${shard}/cdc`);

export interface ChangeLogOptions {
  readonly shard: string;
  readonly replicaVersion: Version;
  readonly publications: readonly string[];
  /** Task that owns the log from now on. */
  readonly owner: string;
  /** Where other nodes reach the owner; null if they cannot. */
  readonly ownerAddress: string | null;
  /** false: we owned it already, and stop if another has taken it since. */
  readonly takeOver: boolean;
  readonly log: Log;
}

/**
 * Creates the tables in a change database of its own: what is wrong with it is told at start, and not when all tables have been
 * copied. @throws UpstreamUnreachable, UpstreamUnfit.
 */
export const prepareChangeDb = async (
  config: Pick<ZeroConfig, 'app' | 'shard' | 'change' | 'upstream'>,
): Promise<void> => {
  if (config.change.db === config.upstream.db) return;
  const client = await connect(config.change.db, {purpose: 'change-log'});
  try {
    await client.query('BEGIN');
    await createTables(client, shardName(config));
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw await explainRefusal(error, 'create the schema of the change log', client);
  } finally {
    await client.end();
  }
};

/**
 * Creates the tables and takes ownership. A log that belongs to another replica is emptied: what it holds leads nowhere.
 * @returns the newest version in the log.
 * @throws TakenOver, ChangeLogUnavailable.
 */
export const openChangeLog = async (
  pool: pg.Pool,
  options: ChangeLogOptions,
): Promise<{readonly last: Version}> => {
  const client = await pool.connect().catch(error => {
    throw unavailable(error);
  });
  try {
    await client.query('BEGIN');
    await createTables(client, options.shard);
    const last = await adopt(client, options);
    await client.query('COMMIT');
    return {last};
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error instanceof DaemonError ? error : unavailable(error);
  } finally {
    client.release();
  }
};

const adopt = async (client: pg.PoolClient, options: ChangeLogOptions): Promise<Version> => {
  const cdc = changeLogSchema(options.shard);
  const {rows} = await client.query<{replicaVersion: string; last: string; owner: string | null}>(
    `SELECT c."replicaVersion", s."lastWatermark" AS last, s.owner
     FROM ${cdc}."replicationConfig" c, ${cdc}."replicationState" s FOR UPDATE`,
  );
  const known = rows[0];
  if (known?.owner && known.owner !== options.owner) {
    if (!options.takeOver)
      throw new TakenOver(`Another replication-manager (${known.owner}) has taken over the change log.`);
    options.log.info({from: known.owner}, 'taking over the change log');
  }
  if (known?.replicaVersion === options.replicaVersion) {
    await client.query(`UPDATE ${cdc}."replicationState" SET owner = $1, "ownerAddress" = $2`, [
      options.owner,
      options.ownerAddress,
    ]);
    return known.last;
  }
  const {replicaVersion, publications, owner, ownerAddress} = options;
  await client.query(
    `TRUNCATE ${cdc}."replicationState", ${cdc}."changeLog", ${cdc}."replicationConfig", ${cdc}."tableMetadata", ${cdc}."backfilling"`,
  );
  await client.query(
    `INSERT INTO ${cdc}."replicationConfig" ("replicaVersion", publications) VALUES ($1, $2)`,
    [replicaVersion, publications],
  );
  await client.query(
    `INSERT INTO ${cdc}."replicationState" ("lastWatermark", owner, "ownerAddress") VALUES ($1, $2, $3)`,
    [replicaVersion, owner, ownerAddress],
  );
  // The minimum of the log is the oldest position to resume from, so it is never empty.
  await client.query(
    `INSERT INTO ${cdc}."changeLog" (watermark, pos, change, precommit)
     VALUES ($1, 0, '{"tag":"begin"}', NULL), ($1, 1, '{"tag":"commit"}', $1)`,
    [replicaVersion],
  );
  return replicaVersion;
};

const createTables = async (client: pg.Client | pg.PoolClient, shard: string): Promise<void> => {
  await client.query(`SELECT pg_advisory_xact_lock(hashtext(${literal(`migrate-schema:${shard}/cdc`)}))`);
  await client.query(tables(shard));
};

const tables = (shard: string): string => {
  const cdc = changeLogSchema(shard);
  return `
    CREATE SCHEMA IF NOT EXISTS ${cdc};
    CREATE TABLE IF NOT EXISTS ${cdc}."changeLog" (
      watermark TEXT COLLATE "C", pos INT8, change JSON NOT NULL, precommit TEXT, PRIMARY KEY (watermark, pos));
    CREATE TABLE IF NOT EXISTS ${cdc}."replicationConfig" (
      "replicaVersion" TEXT NOT NULL, publications TEXT[] NOT NULL, "resetRequired" BOOL,
      lock INT PRIMARY KEY DEFAULT 1 CHECK (lock = 1));
    CREATE TABLE IF NOT EXISTS ${cdc}."replicationState" (
      "lastWatermark" TEXT NOT NULL, owner TEXT, "ownerAddress" TEXT, lock INT PRIMARY KEY DEFAULT 1 CHECK (lock = 1));
    CREATE TABLE IF NOT EXISTS ${cdc}."zerostreamNodes" (address TEXT PRIMARY KEY, "seenAt" TIMESTAMPTZ NOT NULL);
    CREATE TABLE IF NOT EXISTS ${cdc}."tableMetadata" (
      "schema" TEXT NOT NULL, "table" TEXT NOT NULL, metadata JSONB NOT NULL, PRIMARY KEY ("schema", "table"));
    CREATE TABLE IF NOT EXISTS ${cdc}."backfilling" (
      "schema" TEXT NOT NULL, "table" TEXT NOT NULL, "column" TEXT NOT NULL, backfill JSONB NOT NULL,
      PRIMARY KEY ("schema", "table", "column"))`;
};
