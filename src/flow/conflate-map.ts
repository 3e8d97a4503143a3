import {Observable, type OperatorFunction, type Subscription} from 'rxjs';

/**
 * One run of `project` at a time; however many items come during a run, exactly one more run follows it. For work that
 * looks at the state of things and not at the item.
 */
export const conflateMap =
  <T, R>(project: () => Observable<R>): OperatorFunction<T, R> =>
  source =>
    new Observable(out => {
      let run: Subscription | null = null;
      let again = false;
      const start = () => {
        again = false;
        let ended = false;
        const subscription = project().subscribe({
          next: value => out.next(value),
          error: error => out.error(error),
          complete: () => {
            ended = true;
            run = null;
            if (again && !out.closed) start();
          },
        });
        if (!ended) run = subscription;
      };
      const subscription = source.subscribe({
        next: () => {
          if (run) again = true;
          else start();
        },
        error: error => out.error(error),
        complete: () => out.complete(),
      });
      return () => {
        subscription.unsubscribe();
        run?.unsubscribe();
      };
    });
