/** The number of transactions under way grows while the client shows them sooner than this … */
const EASY_LAG_MS = 400;
/** … and shrinks when it shows them later than this. */
const HARD_LAG_MS = 800;
/** Transactions that are committed at once. */
const BATCH = 50;
/** The number under way finds its size in this time, which does not count. */
const WARM_UP_MS = 1500;

export interface SustainOptions {
  readonly durationMs: number;
  /** Transactions that are committed at once. */
  readonly batch?: number;
  /** Commits `n` transactions, numbered from `first`; the last of them makes `seen` reach `first + n - 1`. */
  commit(first: number, n: number): Promise<void>;
  /** The newest number the client shows. */
  seen(): number;
  onPoke(listener: () => void): void;
  /** Rejects when the client is lost. */
  failed(): Promise<void>;
}

export interface Sustained {
  /** All of them, those of the warm-up too. */
  readonly transactions: number;
  /** After the warm-up, until the client has shown the last. */
  readonly perSecond: number;
  readonly worstLagMs: number;
}

/**
 * The highest rate at which the client stays within a second, found by a closed loop: commits go on as fast as
 * PostgreSQL takes them, but wait while more are under way than the client has proved able to show in time.
 */
export const sustain = async (options: SustainOptions): Promise<Sustained> => {
  const batch = options.batch ?? BATCH;
  /** Committed batches that the client has not shown: last number, and when its commit was begun. */
  const unseen: {readonly last: number; readonly at: number}[] = [];
  let window = 4 * batch;
  let shrunkAt = 0;
  let worstLagMs = 0;
  let wake: () => void = () => {};
  let last = 0;
  const onLag = (lagMs: number) => {
    worstLagMs = Math.max(worstLagMs, lagMs);
    if (lagMs < EASY_LAG_MS) window += batch;
    else if (lagMs > HARD_LAG_MS && performance.now() - shrunkAt > lagMs) {
      shrunkAt = performance.now();
      window = Math.max(2 * batch, window * 0.75);
    }
  };
  options.onPoke(() => {
    const seen = options.seen();
    while (unseen.length > 0 && unseen[0]!.last <= seen) onLag(performance.now() - unseen.shift()!.at);
    wake();
  });
  const failed = options.failed();
  failed.catch(() => {});
  const poked = () => Promise.race([new Promise<void>(resolve => (wake = resolve)), failed]);
  const commitFor = async (ms: number) => {
    const until = performance.now() + ms;
    while (performance.now() < until) {
      while (unseen.length > 0 && last - unseen[0]!.last + batch >= window) await poked();
      unseen.push({last: last + batch, at: performance.now()});
      await options.commit(last + 1, batch);
      last += batch;
    }
  };

  await commitFor(WARM_UP_MS);
  const begun = Math.max(0, options.seen());
  worstLagMs = 0;
  const startedAt = performance.now();
  await commitFor(options.durationMs);
  while (unseen.length > 0) await poked();
  return {
    transactions: last,
    perSecond: ((last - begun) / (performance.now() - startedAt)) * 1000,
    worstLagMs,
  };
};
