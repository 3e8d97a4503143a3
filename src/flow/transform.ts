import {concatMap, defer, type OperatorFunction} from 'rxjs';

/**
 * A synchronous stage with private state. `make` runs once per subscription; a throw becomes the stream's error.
 * A generator may yield none, one or many results per item.
 */
export const transform =
  <In, Out>(make: () => (item: In) => Iterable<Out>): OperatorFunction<In, Out> =>
  source =>
    defer(() => source.pipe(concatMap(make())));
