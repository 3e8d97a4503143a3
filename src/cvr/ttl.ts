import type {QueryRecord} from './types.ts';

const DEFAULT_TTL_MS = 300_000;
const MAX_TTL_MS = 600_000;

/** Wire ttl → stored ttl, in ms: negative means for ever, which like anything above the maximum is the maximum. */
export const clampTtl = (ttl: number | undefined): number =>
  ttl === undefined ? DEFAULT_TTL_MS : ttl < 0 || ttl > MAX_TTL_MS ? MAX_TTL_MS : ttl;

/** Clock time at which the query may go; null while a client wants it, or if it is internal (views.md §1.3). */
export const expiryMs = (query: QueryRecord): number | null => {
  if (query.internal) return null;
  let latest = Number.NEGATIVE_INFINITY;
  for (const {inactivatedAtMs, ttlMs} of query.desires.values()) {
    if (inactivatedAtMs === null) return null;
    latest = Math.max(latest, inactivatedAtMs + clampTtl(ttlMs));
  }
  return latest;
};
