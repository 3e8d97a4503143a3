import {
  asyncScheduler,
  type MonoTypeOperatorFunction,
  Observable,
  type SchedulerLike,
  type Subscription,
} from 'rxjs';

/**
 * Passes items on at least `gapMs` apart: one that comes after a longer pause at once, in the same turn; of those that come
 * earlier the last, when the gap is over. For synchronous work that looks at the state of things and not at the item.
 */
export const paced =
  <T>(gapMs: number, clock: SchedulerLike = asyncScheduler): MonoTypeOperatorFunction<T> =>
  source =>
    new Observable(out => {
      let passedAt = Number.NEGATIVE_INFINITY;
      let waiting: Subscription | null = null;
      let latest: T;
      const pass = () => {
        waiting = null;
        passedAt = clock.now();
        out.next(latest);
      };
      const subscription = source.subscribe({
        next: item => {
          latest = item;
          if (waiting) return;
          const waitMs = passedAt + gapMs - clock.now();
          if (waitMs > 0) waiting = clock.schedule(pass, waitMs);
          else pass();
        },
        error: error => out.error(error),
        complete: () => out.complete(),
      });
      return () => {
        subscription.unsubscribe();
        waiting?.unsubscribe();
      };
    });
