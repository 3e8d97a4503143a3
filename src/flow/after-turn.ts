import {type MonoTypeOperatorFunction, Observable} from 'rxjs';

/** Passes items on when the synchronous work that gave them is through: whoever takes one finds everything in its new state. */
export const afterTurn =
  <T>(): MonoTypeOperatorFunction<T> =>
  source =>
    new Observable(out => {
      let waiting: T[] = [];
      let ended = false;
      const flush = () => {
        const items = waiting;
        waiting = [];
        for (const item of items) out.next(item);
        if (ended) out.complete();
      };
      return source.subscribe({
        next: item => {
          waiting.push(item);
          if (waiting.length === 1) queueMicrotask(flush);
        },
        error: error => out.error(error),
        complete: () => {
          ended = true;
          if (waiting.length === 0) out.complete();
        },
      });
    });
