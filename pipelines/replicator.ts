import type {Database} from 'better-sqlite3';
import {concat, defer, filter, finalize, map, merge, Observable, of, switchMap, tap} from 'rxjs';
import {catchUpFromLog} from '../src/change-log/catch-up.ts';
import {restartLogAfterGap} from '../src/change-log/restart.ts';
import {openChangeLog, prepareChangeDb} from '../src/change-log/schema.ts';
import {shardName, type ZeroConfig} from '../src/config/config.ts';
import type {StageBoard} from '../src/flow/stage.ts';
import type {ChangeHub} from '../src/nodes/hub.ts';
import {recoverReplica} from '../src/nodes/recover-replica.ts';
import type {ReplicatorInspection} from '../src/observe/inspection.ts';
import type {Log} from '../src/observe/log.ts';
import {createPool} from '../src/pg/connect.ts';
import {lsnOfVersion, type Version} from '../src/pg/lsn.ts';
import {schemaLimits} from '../src/pg/schema-limits.ts';
import {FrameTap} from '../src/replay/frame-tap.ts';
import {openWriter} from '../src/replica/open.ts';
import {checkReplica, type ResumePoint, takeSlot} from '../src/replication/check-replica.ts';
import type {ReplicationEvent, ReplicatorEvent} from '../src/replication/events.ts';
import {SlotWatch} from '../src/replication/slot-watch.ts';
import {ReplicatorStatus, type RunningChain} from '../src/replication/status.ts';
import {initialSync} from './initial-sync.ts';
import {replication} from './replication.ts';
import {supervise} from './supervise.ts';

export interface Replicator {
  readonly events: Observable<ReplicatorEvent>;
  readonly state: ReplicatorInspection['state'];
  /** Looks at the slot and the stream first, but not for long. */
  inspect(): Promise<ReplicatorInspection>;
}

/** How often upstream's catalog is looked at for changes that no row announces: with event triggers, only what those miss. */
const CATALOG_EVERY_MS = {announced: 10_000, unannounced: 1000} as const;
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
  hub,
  isCopying,
}: {
  config: ZeroConfig;
  log: Log;
  board: StageBoard;
  tap?: FrameTap;
  /** Other nodes that follow this one; nobody without it. */
  hub?: ChangeHub;
  /** True while the replica is copied for other nodes. */
  isCopying?: () => boolean;
}): Replicator => {
  const status = new ReplicatorStatus(config.replica.file, board);
  const slotWatch = new SlotWatch(config.upstream.db, log, status);
  if (hub) status.subscribers = () => hub.inspect();
  /** Upstream has answered once: from now on its silence is a fault to wait out, and not a wrong setting. */
  let contacted = false;
  /** This process has streamed before: the change log is ours, unless another has taken it since. */
  let owner = false;
  /** A replica that is missing was lost; what this process throws away is not to be had back. */
  let lost = true;
  /** What clients will miss is said once: an initial sync says it before it copies. */
  let limitsTold = false;

  const stream = (onProgress: () => void): Observable<ReplicatorEvent> =>
    defer(async () => {
      if (!contacted) await prepareChangeDb(config);
      return checkReplica(config, log, {fresh: !owner});
    }).pipe(
      switchMap(point => {
        contacted = true;
        if (point) {
          lost = false;
          return follow(point, onProgress);
        }
        status.state = 'initial-sync';
        if (lost)
          return concat(
            fetchBack(),
            defer(() => stream(onProgress)),
          );
        limitsTold = true;
        return concat(
          initialSync({config, log, board}).pipe(
            map((progress): ReplicatorEvent => ({type: 'progress', progress})),
          ),
          defer(() => stream(onProgress)),
        );
      }),
    );

  const fetchBack = (): Observable<ReplicatorEvent> =>
    new Observable(out => {
      const stop = new AbortController();
      recoverReplica({
        config,
        log,
        ownAddress: hub?.address ?? null,
        onProgress: progress => out.next({type: 'download', progress}),
        signal: stop.signal,
      }).then(
        () => {
          lost = false;
          out.complete();
        },
        error => out.error(error),
      );
      return () => stop.abort();
    });

  const follow = (point: ResumePoint, onProgress: () => void): Observable<ReplicatorEvent> => {
    const {state, slot} = point;
    const onOpen = (chain: RunningChain) => {
      status.opened(chain);
      if (!limitsTold) for (const limit of schemaLimits(chain.tracker.schema)) log.warn(limit);
      limitsTold = true;
    };
    const deps = {config, log, board, tap: frameTap, hub, isCopying, onOpen};
    return defer(() => openStream(deps, point, {takeOver: !owner})).pipe(
      switchMap(opened => {
        owner = true;
        const {watermark} = opened;
        status.streaming({...state, stateVersion: watermark}, state.context.slot, slot);
        log.info({watermark, slot: state.context.slot}, 'streaming changes');
        if (!point.ddlDetection)
          log.info(
            'schema changes are looked for in the catalog every second, since the upstream role may not create event triggers',
          );
        const first: ReplicatorEvent = {
          type: 'version-ready',
          ready: {version: watermark, upstreamCommitTimeMs: null, readyTimeMs: Date.now()},
        };
        const changes = opened.events.pipe(
          tap(event => {
            onProgress();
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

  const events = supervise({
    log,
    status,
    file: config.replica.file,
    stream,
    rebuilds: config.autoReset,
    waitsOut: () => contacted,
  });
  return {
    events: events.pipe(
      tap(event => {
        if (event.type !== 'recovery') return;
        // While the replica is rebuilt there is nothing to look after, and nothing to follow.
        slotWatch.forget();
        hub?.withdraw();
      }),
      finalize(() => slotWatch.forget()),
    ),
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

interface OpenStream {
  /** What the replica holds. */
  readonly watermark: Version;
  readonly events: Observable<ReplicationEvent>;
  close(): void;
}

interface StreamDeps {
  readonly config: ZeroConfig;
  readonly log: Log;
  readonly board: StageBoard;
  readonly tap: FrameTap;
  readonly hub: ChangeHub | undefined;
  readonly isCopying: (() => boolean) | undefined;
  readonly onOpen: (chain: RunningChain) => void;
}

/** Takes change log and slot, in this order: who loses the slot looks into the log to see whether that was meant. */
const openStream = async (
  {config, log, board, tap, hub, isCopying, onOpen}: StreamDeps,
  {state, slot, activePid, walSenderTimeoutMs, ddlDetection}: ResumePoint,
  {takeOver}: {readonly takeOver: boolean},
): Promise<OpenStream> => {
  const shard = shardName(config);
  const pool = createPool(config.change.db, {purpose: 'change-log', max: config.change.maxConns});
  try {
    const logged = await openChangeLog(pool, {
      shard,
      replicaVersion: state.replicaVersion,
      publications: state.publications,
      owner: config.taskID,
      ownerAddress: hub?.address ?? null,
      takeOver,
      log,
    });
    if (activePid !== null) await takeSlot(config, activePid);
    /** What the slot will not send again: an old copy of the file, or another's progress until it lost log and slot. */
    const missing = async (db: Database, last: Version): Promise<Version> => {
      const {stateVersion} = state;
      const confirmed = activePid !== null || (slot.confirmedFlushLsn ?? 0n) > lsnOfVersion(stateVersion);
      if (!confirmed || last <= stateVersion) return stateVersion;
      log.info({from: stateVersion, to: last}, 'the replica catches up from the change log');
      return catchUpFromLog(db, {pool, shard}, stateVersion);
    };
    const meet = async (db: Database) => {
      const last = await restartLogAfterGap(pool, db, {shard, owner: config.taskID, last: logged.last, log});
      if (last !== logged.last) hub?.onLogRestart();
      return {last, watermark: await missing(db, last)};
    };
    const db = openWriter(config.replica.file);
    const {last, watermark} = await meet(db).catch(error => {
      db.close();
      throw error;
    });
    hub?.live.begin(last);
    hub?.open(state.replicaVersion);
    return {
      watermark,
      events: replication({
        board,
        tap,
        hub,
        isCopying,
        onOpen,
        log,
        catalogEveryMs: CATALOG_EVERY_MS[ddlDetection ? 'announced' : 'unannounced'],
        db,
        watermark,
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
