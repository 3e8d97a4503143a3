import type {Lsn} from './lsn.ts';
import type {SlotHealth} from './slot.ts';

/** The server moves the position by itself about every 15 s, if nothing holds it back. */
const STANDS_MS = 30_000;
const MUCH_BYTES = 64 * 1024 * 1024;

/** Notices that WAL piles up: the position from which the server keeps it stands still, whoever holds it there. */
export class WalGrowth {
  #stands: {readonly restartLsn: Lsn | null; readonly sinceMs: number; readonly bytes: number} | null = null;

  /** @returns a sentence while it does, else null. */
  note(health: SlotHealth, slot: string, nowMs: number): string | null {
    const bytes = health.retainedBytes ?? 0;
    if (this.#stands?.restartLsn !== health.restartLsn)
      this.#stands = {restartLsn: health.restartLsn, sinceMs: nowMs, bytes};
    const {sinceMs, bytes: before} = this.#stands!;
    if (nowMs - sinceMs < STANDS_MS || bytes < MUCH_BYTES || bytes <= before) return null;
    return `PostgreSQL keeps ${Math.round(bytes / 1024 / 1024)} MiB of WAL for slot ${slot}, and more from minute to minute: nothing could be let go of for ${Math.round((nowMs - sinceMs) / 1000)} s.`;
  }
}
