import {type MonoTypeOperatorFunction, Observable} from 'rxjs';

/**
 * Runs `work` on every item as it comes, side by side, and passes the item on when it is done: in the same turn if there
 * was nothing to wait for. For items that are never twice under way, which is what bounds it. An item whose work failed
 * is passed on after `onError`.
 */
export const runEach =
  <T>(
    work: (item: T) => void | Promise<void>,
    onError: (error: unknown, item: T) => void,
  ): MonoTypeOperatorFunction<T> =>
  source =>
    new Observable(out => {
      let underWay = 0;
      let ended = false;
      const settle = (item: T) => {
        underWay--;
        out.next(item);
        if (ended && underWay === 0) out.complete();
      };
      const fail = (error: unknown, item: T) => {
        onError(error, item);
        settle(item);
      };
      return source.subscribe({
        next: item => {
          underWay++;
          let running: void | Promise<void>;
          try {
            running = work(item);
          } catch (error) {
            return fail(error, item);
          }
          if (running)
            running.then(
              () => settle(item),
              error => fail(error, item),
            );
          else settle(item);
        },
        error: error => out.error(error),
        complete: () => {
          ended = true;
          if (underWay === 0) out.complete();
        },
      });
    });
