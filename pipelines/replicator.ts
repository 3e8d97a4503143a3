import {
  catchError,
  concat,
  defer,
  filter,
  finalize,
  ignoreElements,
  map,
  merge,
  type Observable,
  of,
  switchMap,
  tap,
  throwError,
  timer,
} from 'rxjs';
import {openChangeLog} from '../src/change-log/schema.ts';
import {shardName, type ZeroConfig} from '../src/config/config.ts';
import {DaemonError, type Recovery} from '../src/errors.ts';
import type {StageBoard} from '../src/flow/stage.ts';
import type {ReplicatorInspection} from '../src/observe/inspection.ts';
import type {Log} from '../src/observe/log.ts';
import {createPool} from '../src/pg/connect.ts';
import {upstreamFault} from '../src/pg/upstream-fault.ts';
import {FrameTap} from '../src/replay/frame-tap.ts';
import {replicaError} from '../src/replica/classify-error.ts';
import {deleteReplica, openWriter} from '../src/replica/open.ts';
import {checkReplica, type ResumePoint, takeSlot} from '../src/replication/check-replica.ts';
import {SlotWatch} from '../src/replication/slot-watch.ts';
import {ReplicatorStatus, type RunningChain} from '../src/replication/status.ts';
import type {VersionReady} from '../src/sync/types.ts';
import {initialSync, type SyncProgress} from './initial-sync.ts';
import {type ReplicationEvent, replication} from './replication.ts';

export type ReplicatorEvent =
  | {readonly type: 'progress'; readonly progress: SyncProgress}
  | {readonly type: 'version-ready'; readonly ready: VersionReady}
  | {readonly type: 'checkpointed'}
  /** The replica cannot go on and is being rebuilt: readers must let go of the file. */
  | {readonly type: 'recovery'; readonly code: string; readonly reason: string};

export interface Replicator {
  readonly events: Observable<ReplicatorEvent>;
  readonly state: ReplicatorInspection['state'];
  /** Looks at the slot and the stream first, but not for long. */
  inspect(): Promise<ReplicatorInspection>;
}

/** How often upstream's catalog is looked at for changes that no row announces: with event triggers, only what those miss. */
const CATALOG_EVERY_MS = {announced: 10_000, unannounced: 1000} as const;
const FIRST_DELAY_MS = 25;
const MAX_DELAY_MS = 10_000;
/** What an inspector waits for news of the slot. */
const LOOK_MS = 700;

/**
 * Keeps the replica alive: builds it when it is missing, streams, and answers each fault by its recovery: reconnect with
 * backoff, rebuild, or end. Ends with an error only for `stop`, or if the very first contact with upstream fails.
 */
export const replicator = ({
  config,
  log,
  board,
  tap: frameTap = new FrameTap(),
  isCopying,
}: {
  config: ZeroConfig;
  log: Log;
  board: StageBoard;
  tap?: FrameTap;
  /** See `ReplicationDeps`. */
  isCopying?: () => boolean;
}): Replicator => {
  const status = new ReplicatorStatus(config.replica.file, board);
  const slotWatch = new SlotWatch(config.upstream.db, log, status);
  let delayMs = FIRST_DELAY_MS;
  /** Upstream has answered once: from now on its silence is a fault to wait out, and not a wrong setting. */
  let contacted = false;
  /** This process has streamed before: the change log is ours, unless another has taken it since. */
  let owner = false;

  const stream = (): Observable<ReplicatorEvent> =>
    defer(() => checkReplica(config, log, {fresh: !owner})).pipe(
      switchMap(point => {
        contacted = true;
        if (point) return follow(point);
        status.state = 'initial-sync';
        return concat(
          initialSync({config, log, board}).pipe(
            map((progress): ReplicatorEvent => ({type: 'progress', progress})),
          ),
          defer(stream),
        );
      }),
    );

  const follow = (point: ResumePoint): Observable<ReplicatorEvent> => {
    const {state, slot} = point;
    const opening = {takeOver: !owner, isCopying, onOpen: (chain: RunningChain) => status.opened(chain)};
    return defer(() => openStream(config, log, board, frameTap, point, opening)).pipe(
      switchMap(opened => {
        owner = true;
        status.streaming(state, state.context.slot, slot);
        log.info({watermark: state.stateVersion, slot: state.context.slot}, 'streaming changes');
        if (!point.ddlDetection)
          log.info(
            'schema changes are looked for in the catalog every second, since the upstream role may not create event triggers',
          );
        const first: ReplicatorEvent = {
          type: 'version-ready',
          ready: {version: state.stateVersion, upstreamCommitTimeMs: null, readyTimeMs: Date.now()},
        };
        const changes = opened.events.pipe(
          tap(event => {
            delayMs = FIRST_DELAY_MS;
            status.note(event);
          }),
          filter(event => event.type !== 'acknowledged' && event.type !== 'logged'),
        );
        return concat(of(first), merge(changes, slotWatch.supervise(state))).pipe(
          finalize(() => {
            status.closed();
            opened.close();
          }),
        );
      }),
    );
  };

  const recover = (raw: unknown): Observable<ReplicatorEvent> => {
    const error = replicaError(raw) ?? upstreamFault(raw) ?? raw;
    const recovery: Recovery = error instanceof DaemonError ? error.recovery : 'stop';
    if (recovery === 'resync' && config.autoReset) {
      const {code, message} = error as DaemonError;
      log.warn({code}, `${message} The replica is rebuilt.`);
      status.recovered(code, message);
      slotWatch.forget();
      status.faults.set('replication', error as DaemonError, 'fault');
      const event: ReplicatorEvent = {type: 'recovery', code, reason: message};
      return concat(
        of(event),
        defer(() => {
          deleteReplica(config.replica.file);
          return supervised();
        }),
      );
    }
    if (recovery === 'resume' && contacted) {
      if (status.state === 'streaming') status.state = 'reconnecting';
      const {code, message} = error as DaemonError;
      status.faults.set('replication', error as DaemonError, 'fault');
      log[delayMs > 5000 ? 'error' : 'warn']({code}, `${message} Trying again in ${delayMs} ms.`);
      const wait = timer(delayMs).pipe(ignoreElements());
      delayMs = Math.min(delayMs * 2, MAX_DELAY_MS);
      return concat(wait, defer(supervised));
    }
    status.state = 'stopped';
    return throwError(() => error);
  };

  const supervised = (): Observable<ReplicatorEvent> => stream().pipe(catchError(recover));
  return {
    events: defer(supervised).pipe(finalize(() => slotWatch.forget())),
    get state() {
      return status.state;
    },
    inspect: async () => {
      await Promise.race([
        Promise.all([slotWatch.look(), status.probe()]),
        new Promise(resolve => setTimeout(resolve, LOOK_MS).unref()),
      ]);
      return status.inspect();
    },
  };
};

interface Opening {
  readonly takeOver: boolean;
  readonly isCopying: (() => boolean) | undefined;
  readonly onOpen: (chain: RunningChain) => void;
}

interface OpenStream {
  readonly events: Observable<ReplicationEvent>;
  close(): void;
}

/** Takes change log and slot, in this order: who loses the slot looks into the log to see whether that was meant. */
const openStream = async (
  config: ZeroConfig,
  log: Log,
  board: StageBoard,
  tap: FrameTap,
  {state, slot, activePid, walSenderTimeoutMs, ddlDetection}: ResumePoint,
  {takeOver, isCopying, onOpen}: Opening,
): Promise<OpenStream> => {
  const shard = shardName(config);
  const pool = createPool(config.change.db, {purpose: 'change-log', max: config.change.maxConns});
  try {
    const {last} = await openChangeLog(pool, {
      shard,
      replicaVersion: state.replicaVersion,
      stateVersion: state.stateVersion,
      confirmedFlushLsn: slot.confirmedFlushLsn,
      publications: state.publications,
      owner: config.taskID,
      takeOver,
      log,
    });
    if (activePid !== null) await takeSlot(config, activePid);
    const db = openWriter(config.replica.file);
    return {
      events: replication({
        board,
        tap,
        isCopying,
        log,
        onOpen,
        catalogEveryMs: CATALOG_EVERY_MS[ddlDetection ? 'announced' : 'unannounced'],
        db,
        watermark: state.stateVersion,
        upstreamUrl: config.upstream.db,
        slot: state.context.slot,
        publications: state.publications,
        walSenderTimeoutMs,
        inboundTimeoutMs: config.upstream.pgStreamInboundTimeoutMs ?? walSenderTimeoutMs * 2,
        changeLog: {
          pool,
          shard,
          owner: config.taskID,
          last,
          batchSize: config.change.logBatchSize,
          statementTimeoutMs: config.change.statementTimeoutMs,
        },
      }),
      close: () => {
        db.close();
        void pool.end();
      },
    };
  } catch (error) {
    void pool.end();
    throw error;
  }
};
