import {Observable, type OperatorFunction, Subject} from 'rxjs';

/** What `inspect-pipeline`, the metrics and the logs know of a stage. Counters only grow. */
export interface StageStats {
  readonly name: string;
  itemsIn: number;
  itemsOut: number;
  bytesIn: number;
  /** Time spent inside the stage's own synchronous work, in ms; what its outputs cost downstream is not counted. */
  busyMs: number;
  /** Time in which items were in flight, in ms: at work or waiting for a disk, a database or a slower neighbour. */
  occupiedMs: number;
  /** Items taken in and not yet settled, and their bytes; null for a stage that is done when `next` returns. */
  inFlight: number | null;
  bytesInFlight: number | null;
  /** Wall clock (ms) of the last output; 0 before the first. */
  lastOutMs: number;
  /** Commit upstream → output of this stage, in ms, and when (wall clock) that was measured; null: not measured here. */
  lagMs: number | null;
  lagAtMs: number | null;
  running: boolean;
}

/** How an asynchronous stage tells that items are settled: one or some by each output, or all up to a position. */
export type Settles<In, Out> =
  | 'each'
  | ((out: Out) => number)
  | {
      /** null: settled together with the next item that has a position. */
      readonly positionOf: (item: In) => bigint | null;
      readonly settledTo: (out: Out) => bigint;
    };

export interface StageOptions<In, Out> {
  readonly bytesOf?: (item: In) => number;
  /** Left out for a synchronous stage. */
  readonly settles?: Settles<In, Out>;
  /** When PostgreSQL committed what an output carries (wall clock, ms); null if that is not known. */
  readonly committedMs?: (out: Out) => number | null;
}

/** One item of a stage from its arrival until it is settled: a span. Wall clock in ms. */
export interface Settled {
  readonly stage: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly bytes: number;
}

interface Held {
  /** Wall clock of the arrival in ms; 0 while nobody takes spans. */
  readonly startedMs: number;
  readonly bytes: number;
  readonly position: bigint | null;
}

/** A stage's counters, shared by all its subscriptions. */
class Stage {
  readonly stats: StageStats;
  #subscriptions = 0;
  #occupiedSince = 0;

  constructor(name: string) {
    this.stats = {
      name,
      itemsIn: 0,
      itemsOut: 0,
      bytesIn: 0,
      busyMs: 0,
      occupiedMs: 0,
      inFlight: null,
      bytesInFlight: null,
      lastOutMs: 0,
      lagMs: null,
      lagAtMs: null,
      running: false,
    };
  }

  open(by: 1 | -1): void {
    this.#subscriptions += by;
    this.stats.running = this.#subscriptions > 0;
  }

  hold(items: number, bytes: number): void {
    const before = this.stats.inFlight ?? 0;
    this.stats.inFlight = before + items;
    this.stats.bytesInFlight = (this.stats.bytesInFlight ?? 0) + bytes;
    if (before === 0 && items > 0) this.#occupiedSince = performance.now();
    else if (before > 0 && this.stats.inFlight === 0)
      this.stats.occupiedMs += performance.now() - this.#occupiedSince;
  }

  snapshot(): StageStats {
    const since = this.stats.inFlight ? performance.now() - this.#occupiedSince : 0;
    return {...this.stats, occupiedMs: this.stats.occupiedMs + since};
  }
}

/** The stages of one process in the order in which their chains were composed. */
export class StageBoard {
  readonly #stages = new Map<string, Stage>();
  /** Takes spans, if anybody does. */
  onSettled: ((settled: Settled) => void) | null = null;

  open(chain: string, name: string): Stage {
    const key = `${chain}.${name}`;
    let stage = this.#stages.get(key);
    if (!stage) this.#stages.set(key, (stage = new Stage(key)));
    return stage;
  }

  snapshot(): StageStats[] {
    return [...this.#stages.values()].map(stage => stage.snapshot());
  }
}

/** Names and counts stages: `const stage = stages(board, 'replication'); … stage('decode', decodePgoutput())`. */
export const stages =
  (board: StageBoard, chain: string) =>
  <In, Out>(
    name: string,
    operator: OperatorFunction<In, Out>,
    options: StageOptions<In, Out> = {},
  ): OperatorFunction<In, Out> => {
    const stage = board.open(chain, name);
    return source => new Observable(out => new Run(board, stage, options, operator, source).subscribe(out));
  };

/** Wall clock in ms, with fractions. */
const now = (): number => performance.timeOrigin + performance.now();

/** One subscription of a stage. */
class Run<In, Out> {
  readonly #board: StageBoard;
  readonly #stage: Stage;
  readonly #options: StageOptions<In, Out>;
  readonly #operator: OperatorFunction<In, Out>;
  readonly #source: Observable<In>;
  readonly #held: Held[] = [];
  /** Items in flight, older than those held, of which nothing but their number is to be known. */
  #nameless = 0;
  /** When the stage's own work last began or went on; null while it does not work. */
  #workingSince: number | null = null;

  constructor(
    board: StageBoard,
    stage: Stage,
    options: StageOptions<In, Out>,
    operator: OperatorFunction<In, Out>,
    source: Observable<In>,
  ) {
    this.#board = board;
    this.#stage = stage;
    this.#options = options;
    this.#operator = operator;
    this.#source = source;
  }

  subscribe(out: {next(value: Out): void; error(error: unknown): void; complete(): void}): () => void {
    const input = new Subject<In>();
    this.#stage.open(1);
    const inner = this.#operator(input).subscribe({
      next: value => this.#leave(value, out),
      error: error => out.error(error),
      complete: () => out.complete(),
    });
    inner.add(
      this.#source.subscribe({
        next: item => this.#enter(item, input),
        error: error => input.error(error),
        complete: () => input.complete(),
      }),
    );
    return () => {
      inner.unsubscribe();
      this.#settle(this.#nameless + this.#held.length);
      this.#stage.open(-1);
    };
  }

  #enter(item: In, input: Subject<In>): void {
    const {stats} = this.#stage;
    const {bytesOf, settles} = this.#options;
    const bytes = bytesOf?.(item) ?? 0;
    stats.itemsIn++;
    stats.bytesIn += bytes;
    if (settles) {
      const {onSettled} = this.#board;
      if (!bytes && !onSettled && typeof settles !== 'object' && this.#held.length === 0) this.#nameless++;
      else
        this.#held.push({
          startedMs: onSettled ? now() : 0,
          bytes,
          position: typeof settles === 'object' ? settles.positionOf(item) : null,
        });
      this.#stage.hold(1, bytes);
    }
    const span = settles ? null : this.#board.onSettled;
    const startedMs = span ? now() : 0;
    const outer = this.#workingSince;
    this.#workingSince = performance.now();
    try {
      input.next(item);
    } finally {
      stats.busyMs += performance.now() - this.#workingSince;
      this.#workingSince = outer;
      span?.({stage: stats.name, startedMs, endedMs: now(), bytes});
    }
  }

  #leave(value: Out, out: {next(value: Out): void}): void {
    const {stats} = this.#stage;
    stats.itemsOut++;
    stats.lastOutMs = Date.now();
    const {settles, committedMs} = this.#options;
    const committed = committedMs?.(value) ?? null;
    if (committed !== null) {
      stats.lagMs = Math.max(0, stats.lastOutMs - committed);
      stats.lagAtMs = stats.lastOutMs;
    }
    if (settles === 'each') this.#settle(1);
    else if (typeof settles === 'function') this.#settle(settles(value));
    else if (settles) this.#settle(this.#upTo(settles.settledTo(value)));
    if (this.#workingSince === null) return out.next(value);
    stats.busyMs += performance.now() - this.#workingSince;
    try {
      out.next(value);
    } finally {
      this.#workingSince = performance.now();
    }
  }

  #upTo(position: bigint): number {
    let count = 0;
    for (const [i, held] of this.#held.entries()) {
      if (held.position === null) continue;
      if (held.position > position) break;
      count = i + 1;
    }
    return count;
  }

  #settle(count: number): void {
    if (count === 0) return;
    const nameless = Math.min(count, this.#nameless);
    if (nameless) {
      this.#nameless -= nameless;
      this.#stage.hold(-nameless, 0);
      if (nameless === count) return;
    }
    const settled = this.#held.splice(0, count - nameless);
    const span = this.#board.onSettled;
    if (span)
      for (const {startedMs, bytes} of settled)
        if (startedMs) span({stage: this.#stage.stats.name, startedMs, endedMs: now(), bytes});
    if (settled.length)
      this.#stage.hold(
        -settled.length,
        settled.reduce((sum, {bytes}) => sum - bytes, 0),
      );
  }
}
