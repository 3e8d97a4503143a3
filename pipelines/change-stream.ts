import type {Database} from 'better-sqlite3';
import type pg from 'pg';
import {defer, filter, finalize, map, merge, type Observable, Subject, share, takeUntil, tap} from 'rxjs';
import {applyLines} from '../src/change-log/apply-lines.ts';
import {followLog, type LogPart} from '../src/change-log/follow.ts';
import {Brake} from '../src/flow/brake.ts';
import {drain} from '../src/flow/drain.ts';
import {type StageBoard, stages} from '../src/flow/stage.ts';
import {type ChangeControl, type ChangeSourceOptions, changeSource} from '../src/nodes/change-source.ts';
import type {ChangeHub} from '../src/nodes/hub.ts';
import type {Subscriber} from '../src/nodes/subscriber.ts';
import {checkpoint} from '../src/replica/checkpoint.ts';
import {emptyWhenLarge} from '../src/replica/empty-wal.ts';
import type {ReplicationEvent} from '../src/replication/events.ts';
import {CHECKPOINT_BYTES, LARGE_WAL_BYTES} from './apply-wal.ts';

export interface ServeChangesDeps {
  readonly board: StageBoard;
  readonly hub: ChangeHub;
  /** Readers of the change log, apart from its writer: however many catch up, the stream goes on. */
  readonly pool: pg.Pool;
  readonly shard: string;
}

/**
 * One subscriber's end at the node that replicates: change log, then memory → send. Only what is durable in the log goes
 * out, the same for all, each at its own pace: the next part is taken when there is room for it on the way.
 */
export const serveChanges = (
  {board, hub, pool, shard}: ServeChangesDeps,
  subscriber: Subscriber,
): Observable<LogPart> => {
  const stage = stages(board, 'change-stream');
  return drain(
    signal => followLog({pool, shard, live: hub.live}, subscriber.watermark, signal),
    async part => {
      await subscriber.room();
      return part;
    },
  ).pipe(
    stage(
      'send',
      tap(part => subscriber.send(part)),
      {bytesOf: part => part.lines.length},
    ),
    takeUntil(subscriber.gone),
  );
};

export interface FollowChangesDeps {
  readonly board: StageBoard;
  readonly db: Database;
  readonly source: Omit<ChangeSourceOptions, 'onOpen'>;
  readonly isCopying?: (() => boolean) | undefined;
}

/**
 * The other end, in the place of `replication`: lines → apply → checkpoint → consumed. Synchronous: when `next` returns, what
 * the lines say is in the replica and the socket has not been read meanwhile. Runs until unsubscribed or failed.
 */
export const followChanges = (deps: FollowChangesDeps): Observable<ReplicationEvent> =>
  defer(() => {
    const {db, source} = deps;
    const stage = stages(deps.board, 'change-stream');
    let control: ChangeControl | null = null;
    let consumedBytes = 0;
    let watermark = source.watermark;
    const brake = new Brake(
      () => control?.pause(),
      () => control?.resume(),
    );
    const beside = new Subject<ReplicationEvent>();
    const reopen = () => beside.next({type: 'checkpointed'});
    const applied = changeSource({
      ...source,
      onOpen: opened => {
        control = opened;
      },
    }).pipe(
      stage('apply', applyLines(db, watermark), {
        bytesOf: lines => lines.length,
        committedMs: ({committed}) => committed?.upstreamCommitTimeMs ?? null,
      }),
      checkpoint(db, {
        everyBytes: CHECKPOINT_BYTES,
        onComplete: reopen,
        largeBytes: LARGE_WAL_BYTES,
        onLarge: emptyWhenLarge({
          db,
          brake,
          reopen,
          isCopying: deps.isCopying,
          onError: error => beside.error(error),
        }),
      }),
      stage(
        'consumed',
        tap(({bytes, committed}) => {
          consumedBytes += bytes;
          watermark = committed?.version ?? watermark;
          control?.consumed(consumedBytes, watermark);
        }),
      ),
      share(),
    );
    const ready = applied.pipe(
      filter(({committed}) => committed !== null),
      map(
        ({committed}): ReplicationEvent => ({
          type: 'version-ready',
          ready: {...committed!, readyTimeMs: Date.now()},
        }),
      ),
    );
    return merge(ready, beside).pipe(
      finalize(() => {
        if (db.inTransaction) db.exec('ROLLBACK');
      }),
    );
  });
