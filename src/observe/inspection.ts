import type {StageStats} from '../flow/stage.ts';
import type {Version} from '../pg/lsn.ts';
import type {AST} from '../zql/ast.ts';
import type {Fault, PastFault} from './faults.ts';

/** What one process tells `inspect-pipeline`; plain JSON. Times in ms, sizes in bytes. */
export interface DaemonInspection {
  readonly taskID: string;
  readonly serverVersion: string;
  readonly startedAtMs: number;
  readonly atMs: number;
  /** null on a node that does not run the part. */
  readonly replicator: ReplicatorInspection | null;
  readonly workers: readonly WorkerInspection[];
  readonly processes: readonly {
    readonly name: string;
    readonly pid: number;
    readonly rssBytes: number;
    readonly cpuMs: number;
  }[];
}

/** What `inspect-pipeline` shows of a subscriber. */
export interface SubscriberInspection {
  readonly taskID: string;
  readonly address: string;
  readonly connectedAtMs: number;
  /** Newest transaction sent, and newest that its replica holds. */
  readonly sentVersion: Version;
  readonly consumedVersion: Version;
  readonly sentBytes: number;
  /** Sent, and not consumed yet. */
  readonly bytesInFlight: number;
  /** How long what is on the way has been so at most, or had been what was consumed last; null if that was nothing yet. */
  readonly lagMs: number | null;
  /** Served from memory: it has caught up. False while it reads the change log. */
  readonly live: boolean;
}

export interface ReplicatorInspection {
  readonly state: 'initial-sync' | 'streaming' | 'reconnecting' | 'stopped';
  readonly stages: readonly StageStats[];
  readonly replicaFile: string;
  readonly replicaBytes: number;
  readonly walBytes: number;
  readonly replicaVersion: string | null;
  /** Newest applied, newest durable in the change log, newest acknowledged to the slot. */
  readonly appliedVersion: string | null;
  readonly loggedVersion: string | null;
  readonly ackedLsn: string | null;
  readonly slot: {
    readonly name: string;
    readonly walStatus: string | null;
    readonly retainedBytes: number | null;
    readonly confirmedFlushLsn: string | null;
    readonly checkedAtMs: number;
  } | null;
  /** Commit upstream → visible in the replica, last measured. */
  readonly lagMs: number | null;
  readonly lagMeasuredAtMs: number | null;
  /** Tables of which rows are being read beside the stream: they entered the publication, or were rewritten. */
  readonly reading: readonly string[];
  /** On a view-syncer: the node whose changes it follows. */
  readonly follows: {readonly uri: string; readonly sinceMs: number} | null;
  /** Other nodes that follow this one. */
  readonly subscribers: readonly SubscriberInspection[];
  readonly recoveries: readonly {readonly atMs: number; readonly code: string; readonly reason: string}[];
  /** What is wrong now, the worst first, and what was, the newest last. */
  readonly faults: readonly Fault[];
  readonly pastFaults: readonly PastFault[];
}

export interface WorkerInspection {
  readonly index: number;
  readonly version: string | null;
  readonly stages: readonly StageStats[];
  readonly graphs: readonly GraphInspection[];
  readonly groups: readonly GroupInspection[];
  /** What is wrong with serving; as with the replicator. */
  readonly faults: readonly Fault[];
  readonly pastFaults: readonly PastFault[];
}

export interface GraphInspection {
  readonly id: string;
  readonly ast: AST;
  readonly rows: number;
  readonly subscribers: number;
  readonly hydrationMs: number;
  readonly advances: number;
  readonly advanceMs: number;
  readonly changesOut: number;
  /** Changed rows that were routed here, in all. */
  readonly rowsTouched: number;
  /** How often it was read anew instead of stepped. */
  readonly recomputed: number;
  /** The ways to its first rows that the planner weighed, in rows visited; the chosen one first. */
  readonly ways: readonly {readonly way: string; readonly cost: number; readonly rows: number}[];
  /** Statements that would create the indexes it misses. */
  readonly missingIndexes: readonly string[];
  /** One line per operator from the source down, indented by depth: `exists comments (2 keys)`. */
  readonly operators: readonly {
    readonly depth: number;
    readonly operator: string;
    readonly rows: number;
    readonly keys: number;
    /** Places in all graphs that hold these rows together, this one included. */
    readonly sharedBy: number;
    readonly sql: string | null;
    /** SQLite's plan of it, a line per step; null if it was not asked for. */
    readonly plan: readonly string[] | null;
    /** Rows looked at by the first read; null if they were not counted. */
    readonly rowsRead: number | null;
  }[];
}

export interface GroupInspection {
  readonly clientGroupID: string;
  readonly cvrVersion: string;
  readonly servedVersion: string;
  readonly userID: string | null;
  readonly pendingRows: number;
  readonly queries: readonly {
    readonly hash: string;
    readonly name: string | null;
    readonly graph: string | null;
    readonly got: boolean;
    readonly rows: number;
  }[];
  readonly clients: readonly {
    readonly clientID: string;
    readonly cookie: string | null;
    readonly bufferedBytes: number;
  }[];
}

/** Whether a node gets changes as they come, or has none to wait for; else it reads what it missed in the change log. */
export const isLive = (
  {live, consumedVersion}: SubscriberInspection,
  {appliedVersion}: ReplicatorInspection,
): boolean => live || consumedVersion === appliedVersion;

/** Those of the replicator first. Workers see the same replica: one speaks for all. */
export const faultsOf = ({replicator, workers}: DaemonInspection): readonly Fault[] => [
  ...(replicator?.faults ?? []),
  ...(workers[0]?.faults ?? []),
];

/** The newest last. */
export const pastFaultsOf = ({replicator, workers}: DaemonInspection): readonly PastFault[] =>
  [...(replicator?.pastFaults ?? []), ...(workers[0]?.pastFaults ?? [])].sort(
    (a, b) => a.untilMs - b.untilMs,
  );
