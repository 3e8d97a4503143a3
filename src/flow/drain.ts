import {Observable} from 'rxjs';

/**
 * Takes the next item only when `work` on the last one is finished; holds one item. The bridge from a pulled source
 * to a pushed stream where `concatMap` would queue without end.
 */
export const drain = <T, R>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  work: (item: T, signal: AbortSignal) => Promise<R> | R,
): Observable<R> =>
  new Observable(out => {
    const stop = new AbortController();
    void (async () => {
      for await (const item of open(stop.signal)) {
        const result = await work(item, stop.signal);
        if (out.closed) return;
        out.next(result);
      }
      out.complete();
    })().catch(error => out.error(error));
    return () => stop.abort();
  });
