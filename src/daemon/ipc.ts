import type {ReplicatorInspection, WorkerInspection} from '../observe/inspection.ts';
import type {ConversationRequest} from '../replay/record-protocol.ts';
import type {HandedRequest, VersionReady} from '../sync/types.ts';

/**
 * Messages from the dispatcher to its children. Sockets travel beside `upgrade`. Until the child has confirmed a socket
 * the dispatcher's copy may still read from it, and what it reads is lost; the channel holds back whatever is sent after
 * a socket until then. So each `upgrade` is followed by `handed-over`, and only then may the client be answered.
 */
export type ToChild =
  /** Only where versions have no channel of their own. */
  | {readonly type: 'version-ready'; readonly ready: VersionReady}
  /** To a worker: versions come over the socket at `path`. */
  | {readonly type: 'versions-at'; readonly path: string}
  | {readonly type: 'refresh'}
  | {readonly type: 'upgrade'; readonly request: HandedRequest; readonly head: string}
  /** The socket beside it wants a recording: to the replicator, of the stream; to a worker, of its clients. */
  | {readonly type: 'record'; readonly clients: ConversationRequest | null}
  | {readonly type: 'handed-over'}
  | {readonly type: 'inspect'; readonly id: number}
  /** `handOverMs`: how long clients may be sent elsewhere one group after the other; 0: at once. */
  | {readonly type: 'stop'; readonly reason: string; readonly handOverMs: number};

/** Messages from a child to the dispatcher. */
export type FromChild =
  | {readonly type: 'ready'}
  /** The first of a replica; every one where versions have no channel of their own. */
  | {readonly type: 'version-ready'; readonly ready: VersionReady}
  | {readonly type: 'versions-at'; readonly path: string}
  | {readonly type: 'checkpointed'}
  | {readonly type: 'recovery'; readonly code: string; readonly reason: string}
  | {
      readonly type: 'inspection';
      readonly id: number;
      readonly body: ReplicatorInspection | WorkerInspection;
      readonly usage: Usage;
    }
  | {readonly type: 'fatal'; readonly code: string | null; readonly message: string};

export interface Usage {
  readonly rssBytes: number;
  readonly cpuMs: number;
}

export const usage = (): Usage => {
  const {user, system} = process.cpuUsage();
  return {rssBytes: process.memoryUsage.rss(), cpuMs: (user + system) / 1000};
};

/** Environment variable by which a child gets its configuration. */
export const CONFIG_VARIABLE = 'ZEROSTREAM_CONFIG';
export const WORKER_INDEX_VARIABLE = 'ZEROSTREAM_WORKER_INDEX';

/** Exit code of a process whose error was already reported. */
export const EXIT_REPORTED = 13;
/** Exit code when another node was meant to go on in our place (config-ops.md §2.3). */
export const EXIT_TAKEN_OVER = 14;
