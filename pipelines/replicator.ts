import {statSync} from 'node:fs';
import type {Database} from 'better-sqlite3';
import type pg from 'pg';
import {
  catchError,
  concat,
  defer,
  filter,
  finalize,
  ignoreElements,
  map,
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
import {formatLsn} from '../src/pg/lsn.ts';
import {deleteReplica, openWriter} from '../src/replica/open.ts';
import {checkReplica} from '../src/replication/check-replica.ts';
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
  inspect(): ReplicatorInspection;
}

const FIRST_DELAY_MS = 25;
const MAX_DELAY_MS = 10_000;

/**
 * Keeps the replica alive: builds it when it is missing, streams, and answers each fault by its recovery: reconnect with
 * backoff, rebuild, or end. Ends with an error only for `stop`, or if the very first contact with upstream fails.
 */
export const replicator = ({
  config,
  log,
  board,
}: {
  config: ZeroConfig;
  log: Log;
  board: StageBoard;
}): Replicator => {
  const status = new Status(config, board);
  let delayMs = FIRST_DELAY_MS;
  let streamed = false;

  const stream = (): Observable<ReplicatorEvent> =>
    defer(() => checkReplica(config)).pipe(
      switchMap(point => {
        if (point)
          return defer(() => openStream(config, board, point.state, point.walSenderTimeoutMs)).pipe(
            switchMap(opened => {
              status.streaming(point.state.replicaVersion, point.state.context.slot);
              log.info(
                {watermark: point.state.stateVersion, slot: point.state.context.slot},
                'streaming changes',
              );
              const first: ReplicatorEvent = {
                type: 'version-ready',
                ready: {
                  version: point.state.stateVersion,
                  upstreamCommitTimeMs: null,
                  readyTimeMs: Date.now(),
                },
              };
              return concat(
                of(first),
                opened.events.pipe(
                  tap(event => status.note(event)),
                  filter(event => event.type !== 'acknowledged'),
                ),
              ).pipe(
                tap(() => {
                  streamed = true;
                  delayMs = FIRST_DELAY_MS;
                }),
                finalize(() => opened.close()),
              );
            }),
          );
        status.state = 'initial-sync';
        return concat(
          initialSync({config, log, board}).pipe(
            map((progress): ReplicatorEvent => ({type: 'progress', progress})),
          ),
          defer(stream),
        );
      }),
    );

  const recover = (error: unknown): Observable<ReplicatorEvent> => {
    const recovery: Recovery = error instanceof DaemonError ? error.recovery : 'stop';
    if (recovery === 'resync' && config.autoReset) {
      const {code, message} = error as DaemonError;
      log.warn({code}, `${message} The replica is rebuilt.`);
      status.recovered(code, message);
      const event: ReplicatorEvent = {type: 'recovery', code, reason: message};
      return concat(
        of(event),
        defer(() => {
          deleteReplica(config.replica.file);
          return supervised();
        }),
      );
    }
    if (recovery === 'resume' && streamed) {
      status.state = 'reconnecting';
      log[delayMs > 5000 ? 'error' : 'warn'](
        {err: error},
        `replication interrupted; trying again in ${delayMs} ms`,
      );
      const wait = timer(delayMs).pipe(ignoreElements());
      delayMs = Math.min(delayMs * 2, MAX_DELAY_MS);
      return concat(wait, defer(supervised));
    }
    status.state = 'stopped';
    return throwError(() => error);
  };

  const supervised = (): Observable<ReplicatorEvent> => stream().pipe(catchError(recover));
  return {events: defer(supervised), inspect: () => status.inspect()};
};

interface OpenStream {
  readonly db: Database;
  readonly events: Observable<ReplicationEvent>;
  close(): void;
}

const openStream = async (
  config: ZeroConfig,
  board: StageBoard,
  state: {
    stateVersion: string;
    replicaVersion: string;
    publications: readonly string[];
    context: {slot: string};
  },
  walSenderTimeoutMs: number,
): Promise<OpenStream> => {
  const shard = shardName(config);
  const pool: pg.Pool = createPool(config.change.db, {purpose: 'change-log', max: config.change.maxConns});
  const last = await openChangeLog(pool, {
    shard,
    replicaVersion: state.replicaVersion,
    publications: state.publications,
    owner: config.taskID,
  });
  const db = openWriter(config.replica.file);
  return {
    db,
    events: replication({
      board,
      db,
      watermark: state.stateVersion,
      upstreamUrl: config.upstream.db,
      slot: state.context.slot,
      publications: state.publications,
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
};

/** What `inspect-pipeline` shows of the replicator. */
class Status {
  state: ReplicatorInspection['state'] = 'initial-sync';
  readonly #config: ZeroConfig;
  readonly #board: StageBoard;
  readonly #recoveries: {atMs: number; code: string; reason: string}[] = [];
  #slot: string | null = null;
  #replicaVersion: string | null = null;
  #appliedVersion: string | null = null;
  #ackedLsn: string | null = null;
  #lag: {ms: number; atMs: number} | null = null;

  constructor(config: ZeroConfig, board: StageBoard) {
    this.#config = config;
    this.#board = board;
  }

  streaming(replicaVersion: string, slot: string): void {
    this.state = 'streaming';
    this.#replicaVersion = replicaVersion;
    this.#slot = slot;
  }

  note(event: ReplicationEvent): void {
    if (event.type === 'version-ready') {
      this.#appliedVersion = event.ready.version;
      const {upstreamCommitTimeMs, readyTimeMs} = event.ready;
      if (upstreamCommitTimeMs !== null)
        this.#lag = {ms: Math.max(0, readyTimeMs - upstreamCommitTimeMs), atMs: readyTimeMs};
    } else if (event.type === 'acknowledged') this.#ackedLsn = formatLsn(event.lsn);
  }

  recovered(code: string, reason: string): void {
    this.#recoveries.push({atMs: Date.now(), code, reason});
    if (this.#recoveries.length > 20) this.#recoveries.shift();
  }

  inspect(): ReplicatorInspection {
    return {
      state: this.state,
      stages: this.#board.snapshot(),
      replicaFile: this.#config.replica.file,
      replicaBytes: fileBytes(this.#config.replica.file),
      walBytes: fileBytes(`${this.#config.replica.file}-wal`),
      replicaVersion: this.#replicaVersion,
      appliedVersion: this.#appliedVersion,
      loggedVersion: null,
      ackedLsn: this.#ackedLsn,
      slot:
        this.#slot === null
          ? null
          : {
              name: this.#slot,
              walStatus: null,
              retainedBytes: null,
              confirmedFlushLsn: this.#ackedLsn,
              checkedAtMs: Date.now(),
            },
      lagMs: this.#lag?.ms ?? null,
      lagMeasuredAtMs: this.#lag?.atMs ?? null,
      recoveries: this.#recoveries,
    };
  }
}

const fileBytes = (file: string): number => statSync(file, {throwIfNoEntry: false})?.size ?? 0;
