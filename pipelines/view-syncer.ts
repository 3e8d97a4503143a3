import {existsSync} from 'node:fs';
import {catchError, concat, defer, filter, finalize, map, Observable, of, switchMap, tap} from 'rxjs';
import type {ZeroConfig} from '../src/config/config.ts';
import {ChangeStreamUnavailable, NodeRefused} from '../src/errors.ts';
import type {StageBoard} from '../src/flow/stage.ts';
import {replicationManagerUri} from '../src/nodes/discover.ts';
import {type FetchProgress, fetchReplica} from '../src/nodes/fetch-snapshot.ts';
import {PING_MS} from '../src/nodes/wire.ts';
import type {Log} from '../src/observe/log.ts';
import {checkIntegrity, vacuumIfDue, wasLeftOpen} from '../src/replica/care.ts';
import {openWriter} from '../src/replica/open.ts';
import {readReplicaState} from '../src/replica/sync-context.ts';
import type {ReplicatorEvent} from '../src/replication/events.ts';
import {ReplicatorStatus} from '../src/replication/status.ts';
import {followChanges} from './change-stream.ts';
import type {Replicator} from './replicator.ts';
import {supervise} from './supervise.ts';

/**
 * The replicator of a view-syncer: fetches the replica where there is none, and follows the changes of the
 * replication-manager. It tells of versions, so that clients are served, when it has once caught up with what was there
 * when it came; from then on it serves what it has, also while it cannot reach the other node.
 */
export const viewSyncer = ({
  config,
  log,
  board,
  snapshotPort,
  isCopying,
}: {
  config: ZeroConfig;
  log: Log;
  board: StageBoard;
  /** Where it hands out its replica, if it does. */
  snapshotPort?: number | undefined;
  /** True while the replica is copied for that. */
  isCopying?: (() => boolean) | undefined;
}): Replicator => {
  const {file, vacuumIntervalHours} = config.replica;
  const {secret} = config.changeStreamer;
  const status = new ReplicatorStatus(file, board);
  let fresh = true;
  let caughtUp = false;

  const stream = (onProgress: () => void): Observable<ReplicatorEvent> =>
    defer(() => replicationManagerUri(config)).pipe(
      switchMap(uri =>
        existsSync(file)
          ? defer(prepare).pipe(switchMap(() => follow(uri, onProgress)))
          : concat(
              fetch(uri),
              defer(() => stream(onProgress)),
            ),
      ),
    );

  const fetch = (uri: string): Observable<ReplicatorEvent> => {
    status.state = 'initial-sync';
    caughtUp = false;
    return downloads(uri).pipe(map((progress): ReplicatorEvent => ({type: 'download', progress})));
  };

  const downloads = (uri: string): Observable<FetchProgress> =>
    new Observable(out => {
      const stop = new AbortController();
      fetchReplica({
        uri,
        secret,
        file,
        log,
        signal: stop.signal,
        attempts: FETCH_ATTEMPTS,
        onProgress: progress => out.next(progress),
      }).then(
        () => out.complete(),
        error => out.error(error),
      );
      return () => stop.abort();
    });

  /** What a new process asks of a file that another has left. */
  const prepare = async (): Promise<void> => {
    if (!fresh) return;
    fresh = false;
    if (wasLeftOpen(file)) {
      log.info('the replica was not closed by its last writer: checking it');
      checkIntegrity(file);
    }
    if (vacuumIntervalHours !== undefined) await vacuumIfDue(file, vacuumIntervalHours, log);
  };

  const follow = (uri: string, onProgress: () => void): Observable<ReplicatorEvent> =>
    defer(() => {
      const db = openWriter(file);
      const close = () => void db.close();
      try {
        const {replicaVersion, stateVersion: watermark} = readReplicaState(db);
        let goal: string | null = null;
        const first: ReplicatorEvent = {
          type: 'version-ready',
          ready: {version: watermark, upstreamCommitTimeMs: null, readyTimeMs: Date.now()},
        };
        const changes = new Observable<ReplicatorEvent>(out =>
          followChanges({
            board,
            db,
            isCopying,
            source: {
              uri,
              secret,
              taskID: config.taskID,
              replicaVersion,
              watermark,
              snapshotPort,
              pingMs: PING_MS,
              onStatus: newest => {
                log.info(
                  {uri, watermark, behind: newest !== watermark},
                  'following the changes of another node',
                );
                status.following({replicaVersion, stateVersion: watermark}, uri);
                goal = newest;
                if (newest > watermark) return;
                caughtUp = true;
                onProgress();
                out.next(first);
              },
            },
          })
            .pipe(
              tap(event => {
                onProgress();
                status.note(event);
                if (event.type === 'version-ready' && goal !== null && event.ready.version >= goal)
                  caughtUp = true;
              }),
              filter(event => event.type === 'checkpointed' || event.type === 'version-ready'),
              filter(event => event.type !== 'version-ready' || caughtUp),
              // Who was let in before is not ended by a setting of the other node.
              catchError(error => {
                throw error instanceof NodeRefused && caughtUp
                  ? new ChangeStreamUnavailable(error.message, {cause: error})
                  : error;
              }),
            )
            .subscribe(out),
        );
        return concat(caughtUp ? of(first) : [], changes).pipe(finalize(close));
      } catch (error) {
        close();
        throw error;
      }
    });

  return {
    events: supervise({log, status, file, stream, rebuilds: true, waitsOut: () => true}),
    get state() {
      return status.state;
    },
    inspect: async () => status.inspect(),
  };
};

/** Then the address is looked up again: there may be another replication-manager. */
const FETCH_ATTEMPTS = 5;
