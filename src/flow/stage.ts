import {
  defer,
  finalize,
  type MonoTypeOperatorFunction,
  type Observable,
  type OperatorFunction,
  tap,
} from 'rxjs';

/** What `inspect-pipeline`, the metrics and the logs know of a stage. Counters only grow. */
export interface StageStats {
  readonly name: string;
  itemsIn: number;
  itemsOut: number;
  bytesIn: number;
  /** Time spent inside the stage's own synchronous work, in ms. */
  busyMs: number;
  /** Items taken in and not yet answered by an output, for stages that map one to one; else 0. */
  inFlight: number;
  bytesInFlight: number;
  /** Wall clock (ms) of the last output; 0 before the first. */
  lastOutMs: number;
  running: boolean;
}

/** The stages of one process in the order in which their chains were composed. */
export class StageBoard {
  readonly #stages = new Map<string, StageStats>();

  open(chain: string, name: string): StageStats {
    const key = `${chain}.${name}`;
    let stats = this.#stages.get(key);
    if (!stats) {
      stats = {
        name: key,
        itemsIn: 0,
        itemsOut: 0,
        bytesIn: 0,
        busyMs: 0,
        inFlight: 0,
        bytesInFlight: 0,
        lastOutMs: 0,
        running: false,
      };
      this.#stages.set(key, stats);
    }
    return stats;
  }

  snapshot(): StageStats[] {
    return [...this.#stages.values()].map(s => ({...s}));
  }
}

/** Names and counts stages: `const stage = stages(board, 'replication'); … stage('decode', decodePgoutput())`. */
export const stages =
  (board: StageBoard, chain: string) =>
  <In, Out>(
    name: string,
    operator: OperatorFunction<In, Out>,
    bytesOf: (item: In) => number = () => 0,
  ): OperatorFunction<In, Out> => {
    const stats = board.open(chain, name);
    return (source: Observable<In>) =>
      defer(() => {
        stats.running = true;
        let enteredAt = 0;
        // Time below `next` of the last tap belongs to the stages downstream: it is taken off again.
        const enter: MonoTypeOperatorFunction<In> = upstream =>
          defer(() =>
            upstream.pipe(
              tap(item => {
                stats.itemsIn++;
                stats.bytesIn += bytesOf(item);
                enteredAt = performance.now();
              }),
            ),
          );
        return source.pipe(
          enter,
          operator,
          tap(() => {
            const now = performance.now();
            if (enteredAt) stats.busyMs += now - enteredAt;
            enteredAt = 0;
            stats.itemsOut++;
            stats.lastOutMs = Date.now();
          }),
          finalize(() => {
            stats.running = false;
          }),
        );
      });
  };
