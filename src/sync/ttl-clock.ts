/** ms of a group's lifetime under a server: stands still while nobody serves it (views.md §1.3). */
export class TtlClock {
  readonly #startMs: number;
  readonly #startedAtMs: number;

  /** @param startedAtMs when it began to run, on the clock (`performance.now()`, or a recording's) that it is read by. */
  constructor(startMs: number, startedAtMs: number) {
    this.#startMs = startMs;
    this.#startedAtMs = startedAtMs;
  }

  at(nowMs: number): number {
    return this.#startMs + Math.round(nowMs - this.#startedAtMs);
  }
}
