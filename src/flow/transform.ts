import {Observable, type OperatorFunction} from 'rxjs';

/**
 * A synchronous stage with private state. `make` runs once per subscription; a throw becomes the stream's error.
 * A generator may yield none, one or many results per item. An item that comes while another is under way, because
 * something downstream caused it, waits for its turn.
 */
export const transform =
  <In, Out>(make: () => (item: In) => Iterable<Out>): OperatorFunction<In, Out> =>
  source =>
    new Observable(out => {
      const step = make();
      const waiting: In[] = [];
      let working = false;
      let completed = false;
      const run = (item: In) => {
        for (const result of step(item)) {
          out.next(result);
          if (out.closed) return;
        }
      };
      return source.subscribe({
        next: item => {
          if (working) return void waiting.push(item);
          working = true;
          try {
            run(item);
            while (waiting.length && !out.closed) run(waiting.shift()!);
          } catch (error) {
            out.error(error);
          }
          working = false;
          if (completed) out.complete();
        },
        error: error => out.error(error),
        complete: () => {
          completed = true;
          if (!working) out.complete();
        },
      });
    });
