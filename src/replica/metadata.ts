import type {Database} from 'better-sqlite3';
import type {Version} from '../pg/lsn.ts';

/** Table names with these prefixes are ours or SQLite's and never listed as replicated tables. */
export const HIDDEN_PREFIXES = ['_zero.', 'sqlite_', '_litestream_'] as const;

/** Schema version of the `_zero.*` tables (replication.md §2.7). */
export const REPLICA_SCHEMA_VERSION = 17;

/** Creates the replica's own tables, empty; names and columns are the original's (replication.md §2.7). */
export const createMetadataTables = (db: Database): void => {
  db.exec(`
    CREATE TABLE IF NOT EXISTS "_zero.versionHistory" (
      dataVersion INTEGER NOT NULL, schemaVersion INTEGER NOT NULL, minSafeVersion INTEGER NOT NULL,
      lock INTEGER PRIMARY KEY DEFAULT 1 CHECK (lock = 1));
    CREATE TABLE IF NOT EXISTS "_zero.replicationConfig" (
      replicaVersion TEXT NOT NULL, publications TEXT NOT NULL, initialSyncContext TEXT,
      lock INTEGER PRIMARY KEY DEFAULT 1 CHECK (lock = 1));
    CREATE TABLE IF NOT EXISTS "_zero.replicationState" (
      stateVersion TEXT NOT NULL, writeTimeMs INTEGER,
      lock INTEGER PRIMARY KEY DEFAULT 1 CHECK (lock = 1));
    CREATE TABLE IF NOT EXISTS "_zero.changeLog2" (
      stateVersion TEXT NOT NULL, pos INTEGER NOT NULL, "table" TEXT NOT NULL, rowKey TEXT NOT NULL, op TEXT NOT NULL,
      backfillingColumnVersions TEXT DEFAULT '{}',
      PRIMARY KEY (stateVersion, pos), UNIQUE ("table", rowKey));
    CREATE TABLE IF NOT EXISTS "_zero.runtimeEvents" (
      event TEXT PRIMARY KEY ON CONFLICT REPLACE, timestamp TEXT NOT NULL DEFAULT (current_timestamp));
    CREATE TABLE IF NOT EXISTS "_zero.column_metadata" (
      table_name TEXT NOT NULL, column_name TEXT NOT NULL, upstream_type TEXT NOT NULL,
      is_not_null INTEGER NOT NULL, is_enum INTEGER NOT NULL, is_array INTEGER NOT NULL,
      character_max_length INTEGER, backfill TEXT, PRIMARY KEY (table_name, column_name));
    CREATE TABLE IF NOT EXISTS "_zero.tableMetadata" (
      "schema" TEXT NOT NULL, "table" TEXT NOT NULL, minRowVersion TEXT NOT NULL DEFAULT '00',
      upstreamMetadata TEXT, metadata TEXT, PRIMARY KEY ("schema", "table"));
    CREATE TABLE IF NOT EXISTS "_zero.backfilling" (
      "schema" TEXT NOT NULL, "table" TEXT NOT NULL, "column" TEXT NOT NULL, backfill TEXT,
      PRIMARY KEY ("schema", "table", "column"));
  `);
};

/** Writes the identity and the first state of a new replica. `publications` in any order; stored sorted. */
export const initReplicaState = (
  db: Database,
  replicaVersion: Version,
  publications: readonly string[],
  initialSyncContext: unknown = null,
): void => {
  db.prepare(
    `INSERT INTO "_zero.versionHistory" (dataVersion, schemaVersion, minSafeVersion) VALUES (?, ?, 1)`,
  ).run(REPLICA_SCHEMA_VERSION, REPLICA_SCHEMA_VERSION);
  db.prepare(
    `INSERT INTO "_zero.replicationConfig" (replicaVersion, publications, initialSyncContext) VALUES (?, ?, ?)`,
  ).run(replicaVersion, JSON.stringify([...publications].sort()), JSON.stringify(initialSyncContext));
  db.prepare(`INSERT INTO "_zero.replicationState" (stateVersion, writeTimeMs) VALUES (?, ?)`).run(
    replicaVersion,
    Date.now(),
  );
};
