import {asyncScheduler, defer, type Observable, type SchedulerLike, switchMap, timer} from 'rxjs';

/** Runs of `project` begin at least `gapMs` apart; one that comes after a longer pause begins at once, in the same turn. */
export const spaced = <R>(
  gapMs: number,
  project: () => Observable<R>,
  clock: SchedulerLike = asyncScheduler,
): (() => Observable<R>) => {
  let beganAt = Number.NEGATIVE_INFINITY;
  return () =>
    defer(() => {
      const run = defer(() => {
        beganAt = clock.now();
        return project();
      });
      const waitMs = beganAt + gapMs - clock.now();
      return waitMs > 0 ? timer(waitMs, clock).pipe(switchMap(() => run)) : run;
    });
};
