import type {Database} from 'better-sqlite3';
import {ReplicaUnusable} from '../errors.ts';
import type {Version} from '../pg/lsn.ts';
import {REPLICA_SCHEMA_VERSION} from './metadata.ts';
import {openWriter} from './open.ts';

/** What the initial sync leaves in `_zero.replicationConfig.initialSyncContext`: how to go on streaming. */
export interface SyncContext {
  readonly slot: string;
  /** Row of `{shard}.replicas`. */
  readonly replicaID: string;
  readonly systemIdentifier: string | null;
  /** Timeline of the server that the replica has followed up to now. */
  readonly timeline?: number;
  /** OIDs of the publications, by name. */
  readonly publicationOids?: Readonly<Record<string, number>>;
}

export interface ReplicaState {
  readonly replicaVersion: Version;
  readonly stateVersion: Version;
  readonly publications: readonly string[];
  readonly context: SyncContext;
}

/** @throws ReplicaUnusable if the file is no complete replica of this schema version. */
export const readReplicaState = (db: Database): ReplicaState => {
  try {
    const row = db
      .prepare<
        [],
        {
          dataVersion: number;
          replicaVersion: string;
          publications: string;
          context: string;
          stateVersion: string;
        }
      >(
        `SELECT v.dataVersion, c.replicaVersion, c.publications, c.initialSyncContext AS context, s.stateVersion
         FROM "_zero.versionHistory" v, "_zero.replicationConfig" c, "_zero.replicationState" s`,
      )
      .get();
    const context = row ? (JSON.parse(row.context) as SyncContext | null) : null;
    if (!row || !context?.slot) throw new Error('no sync context');
    if (row.dataVersion !== REPLICA_SCHEMA_VERSION) throw new Error(`schema version ${row.dataVersion}`);
    return {
      replicaVersion: row.replicaVersion,
      stateVersion: row.stateVersion,
      publications: JSON.parse(row.publications) as string[],
      context,
    };
  } catch (error) {
    throw new ReplicaUnusable(
      `The replica file is incomplete or of another kind (${(error as Error).message}).`,
      {
        cause: error,
      },
    );
  }
};

/** Notes that the replica follows another timeline of the same server from now on. */
export const followTimeline = (file: string, timeline: number): void => {
  const db = openWriter(file);
  try {
    db.prepare(
      `UPDATE "_zero.replicationConfig" SET initialSyncContext = json_set(initialSyncContext, '$.timeline', ?)`,
    ).run(timeline);
  } finally {
    db.close();
  }
};
