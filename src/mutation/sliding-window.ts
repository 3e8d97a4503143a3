export interface WindowOptions {
  /** Calls per window; 0 refuses every call. */
  readonly max: number;
  readonly windowMs: number;
  /** ms; injected so that tests own the clock. */
  readonly now?: () => number;
}

/**
 * Counts calls in a window that slides between two fixed ones, the older weighted by how much of it is still covered
 * (mutations-auth.md §9). Refused calls are not counted, so that retrying never locks anyone out.
 */
export class SlidingWindow {
  readonly #max: number;
  readonly #windowMs: number;
  readonly #now: () => number;
  #prior: {start: number; count: number};
  #next: {start: number; count: number};

  constructor({max, windowMs, now = Date.now}: WindowOptions) {
    this.#max = max;
    this.#windowMs = windowMs;
    this.#now = now;
    [this.#prior, this.#next] = this.#fresh(now());
  }

  /** Counts the call and returns true if it is within the limit. */
  allow(): boolean {
    const now = this.#now();
    const width = this.#windowMs;
    if (now - width > this.#next.start + width) [this.#prior, this.#next] = this.#fresh(now);
    else if (now - width >= this.#next.start) {
      this.#prior = this.#next;
      this.#next = {start: this.#prior.start + width, count: 0};
    }
    const covered =
      now < this.#prior.start + width
        ? 1
        : Math.max(0, (this.#prior.start + (width - 1) - (now - width)) / width);
    if (this.#prior.count * covered + this.#next.count >= this.#max) return false;
    if (now < this.#next.start) this.#prior.count++;
    else this.#next.count++;
    return true;
  }

  /** True if nothing counted here can still matter. */
  get idle(): boolean {
    return this.#now() - 2 * this.#windowMs > this.#next.start;
  }

  #fresh(now: number): [{start: number; count: number}, {start: number; count: number}] {
    const start = now - (now % this.#windowMs);
    return [
      {start, count: 0},
      {start: start + this.#windowMs, count: 0},
    ];
  }
}

/** One window per user, or per client group of the logged out: shared by all their connections, kept over reconnects. */
export class KeyedLimiter {
  readonly #options: WindowOptions;
  readonly #windows = new Map<string, SlidingWindow>();
  #sweepAt = 1000;

  constructor(options: WindowOptions) {
    this.#options = options;
  }

  /** ms between calls that use up the limit evenly; infinite if it is zero. */
  get averagePauseMs(): number {
    return this.#options.windowMs / this.#options.max;
  }

  allow(key: string): boolean {
    let window = this.#windows.get(key);
    if (!window) {
      if (this.#windows.size >= this.#sweepAt) this.#sweep();
      this.#windows.set(key, (window = new SlidingWindow(this.#options)));
    }
    return window.allow();
  }

  #sweep(): void {
    for (const [key, window] of this.#windows) if (window.idle) this.#windows.delete(key);
    this.#sweepAt = Math.max(1000, this.#windows.size * 2);
  }
}
