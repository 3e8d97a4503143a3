import type pg from 'pg';
import {catchError, defer, EMPTY, exhaustMap, interval, merge, type Observable, of, tap} from 'rxjs';
import {shardName, type ZeroConfig} from '../src/config/config.ts';
import {purgeInactive} from '../src/cvr/purge.ts';
import type {CvrStore, LifeSign} from '../src/cvr/store.ts';
import {type StageBoard, stages} from '../src/flow/stage.ts';
import type {Log} from '../src/observe/log.ts';

export interface HousekeepingDeps {
  readonly config: ZeroConfig;
  readonly log: Log;
  readonly board: StageBoard;
  readonly cvr: pg.Pool;
  readonly store: CvrStore;
  /** One process per server purges; every one shows signs of life. */
  readonly purges: boolean;
  /** Groups that are served here, with where their TTL clocks stand. */
  readonly live: () => readonly LifeSign[];
}

const LIFE_SIGN_MS = 60_000;

/** What keeps view records tidy: groups that are served say so every minute; those that nobody has said for long are purged. */
export const housekeeping = (deps: HousekeepingDeps): Observable<unknown> => {
  const {config, log, board, cvr, store, live} = deps;
  const stage = stages(board, 'housekeeping');
  const signs = interval(LIFE_SIGN_MS).pipe(
    stage(
      'sign-of-life',
      exhaustMap(() =>
        defer(() => store.touch(live())).pipe(
          catchError(err => {
            log.warn({err}, 'the view records could not be told that their groups are alive');
            return of(undefined);
          }),
        ),
      ),
    ),
  );
  const purged = defer(() =>
    purgeInactive(cvr, log, {
      shard: shardName(config),
      inactivityMs: config.cvr.garbageCollectionInactivityThresholdHours * 3_600_000,
      initialIntervalMs: config.cvr.garbageCollectionInitialIntervalSeconds * 1000,
      initialBatchSize: config.cvr.garbageCollectionInitialBatchSize,
    }),
  ).pipe(
    stage(
      'purge',
      tap(({purged: groups, remaining}) => {
        if (groups) log.info({groups, remaining}, 'inactive client groups purged');
      }),
    ),
  );
  return merge(signs, deps.purges ? purged : EMPTY);
};
