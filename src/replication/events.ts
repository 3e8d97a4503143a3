import type {FetchProgress} from '../nodes/fetch-snapshot.ts';
import type {VersionReady} from '../sync/types.ts';
import type {SyncProgress} from './sync-progress.ts';

/** What a stream of changes tells of itself, be it a slot's or another node's. */
export type ReplicationEvent =
  | {readonly type: 'version-ready'; readonly ready: VersionReady}
  /** Durable in the change log and applied. */
  | {readonly type: 'logged'; readonly lsn: bigint}
  /** Told to the slot. */
  | {readonly type: 'acknowledged'; readonly lsn: bigint}
  | {readonly type: 'checkpointed'};

/** What a replicator tells the rest of the server. */
export type ReplicatorEvent =
  | {readonly type: 'progress'; readonly progress: SyncProgress}
  /** The replica is fetched from another node. */
  | {readonly type: 'download'; readonly progress: FetchProgress}
  | {readonly type: 'version-ready'; readonly ready: VersionReady}
  | {readonly type: 'checkpointed'}
  /** The replica cannot go on and is being rebuilt: readers must let go of the file. */
  | {readonly type: 'recovery'; readonly code: string; readonly reason: string};
