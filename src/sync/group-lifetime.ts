import {expiryMs} from '../cvr/ttl.ts';
import type {Cvr} from '../cvr/types.ts';

/** A timer fires this much late, so that by the clock, too, the query's time is up. */
const LEEWAY_MS = 50;

/** An expiry farther off than this is looked at again meanwhile. */
const LONGEST_WAIT_MS = 600_000;

export interface LifetimeHooks {
  /** The time of a query is up. */
  onExpiry(): void;
  /** It has been without clients for as long as it may. */
  onAbandoned(): void;
}

/** What a client group does by the clock alone: its queries expire, and it ends some time after its last client has left. */
export class GroupLifetime {
  readonly #lingerMs: number;
  readonly #hooks: LifetimeHooks;
  /** The TTL clock: ms of lifetime under a server. It stands still while nobody serves the group (views.md §1.3). */
  #clock: {readonly startMs: number; readonly startedAtMs: number} | null = null;
  #endedMs: number | null = null;
  #nextExpiryMs: number | null = null;
  #expiryTimer: NodeJS.Timeout | undefined;
  #lingerTimer: NodeJS.Timeout | undefined;

  constructor(lingerMs: number, hooks: LifetimeHooks) {
    this.#lingerMs = lingerMs;
    this.#hooks = hooks;
  }

  /** @param startedAtMs when the clock begins to run, on the one that it is read by: `performance.now()`, or a recording's. */
  start(startMs: number, startedAtMs: number): void {
    this.#clock = {startMs, startedAtMs};
  }

  end(nowMs: number): void {
    this.#endedMs = nowMs;
    clearTimeout(this.#lingerTimer);
    clearTimeout(this.#expiryTimer);
  }

  /** The TTL clock; 0 before it was started. */
  clockMs(nowMs = this.#endedMs ?? performance.now()): number {
    return this.#clock ? this.#clock.startMs + Math.round(nowMs - this.#clock.startedAtMs) : 0;
  }

  isExpiryDue(nowMs: number): boolean {
    return this.#nextExpiryMs !== null && this.#nextExpiryMs <= this.clockMs(nowMs);
  }

  /** Waits for the next expiry, if there is one. null: nobody is there to see it. */
  planExpiry(cvr: Cvr | null): void {
    clearTimeout(this.#expiryTimer);
    if (this.#endedMs !== null || !cvr) return;
    this.#nextExpiryMs = nextExpiryMs(cvr);
    if (this.#nextExpiryMs === null) return;
    const waitMs = Math.max(this.#nextExpiryMs - this.clockMs(), 0) + LEEWAY_MS;
    this.#expiryTimer = setTimeout(() => this.#hooks.onExpiry(), Math.min(waitMs, LONGEST_WAIT_MS)).unref();
  }

  /** Counts from now how long it is without clients, or no more. */
  linger(isEmpty: boolean): void {
    clearTimeout(this.#lingerTimer);
    if (isEmpty && this.#endedMs === null)
      this.#lingerTimer = setTimeout(() => this.#hooks.onAbandoned(), this.#lingerMs).unref();
  }
}

/** When the next query may go, on the TTL clock; null if all are wanted. */
const nextExpiryMs = (cvr: Cvr): number | null => {
  let next: number | null = null;
  for (const query of cvr.queries.values()) {
    const expiry = expiryMs(query);
    if (expiry !== null && (next === null || expiry < next)) next = expiry;
  }
  return next;
};
