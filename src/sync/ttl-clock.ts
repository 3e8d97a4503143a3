/** ms of a group's lifetime under a server: stands still while nobody serves it (views.md §1.3). */
export class TtlClock {
  readonly #startMs: number;
  readonly #startedAt = performance.now();

  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  now(): number {
    return this.#startMs + Math.round(performance.now() - this.#startedAt);
  }
}
