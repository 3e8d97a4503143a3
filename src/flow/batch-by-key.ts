import {Observable, type OperatorFunction} from 'rxjs';

/**
 * Per key one run of `work` at a time, in order; all items of the key that came during a run go into the next one, at
 * most `max` together. Different keys run side by side. An error of `work` must be handled in it.
 */
export const batchByKey =
  <T, R>(
    keyOf: (item: T) => string,
    max: number,
    work: (items: readonly T[]) => Promise<R>,
  ): OperatorFunction<T, R> =>
  source =>
    new Observable(out => {
      const waiting = new Map<string, T[]>();
      let open = true;
      const run = async (key: string) => {
        for (;;) {
          const queue = waiting.get(key)!;
          if (queue.length === 0) break;
          const result = await work(queue.splice(0, max));
          if (out.closed) return;
          out.next(result);
        }
        waiting.delete(key);
        if (!open && waiting.size === 0) out.complete();
      };
      return source.subscribe({
        next: item => {
          const key = keyOf(item);
          const queue = waiting.get(key);
          if (queue) queue.push(item);
          else {
            waiting.set(key, [item]);
            run(key).catch(error => out.error(error));
          }
        },
        error: error => out.error(error),
        complete: () => {
          open = false;
          if (waiting.size === 0) out.complete();
        },
      });
    });
