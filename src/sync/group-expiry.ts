import {expiryMs} from '../cvr/ttl.ts';
import type {Cvr} from '../cvr/types.ts';

/** When the next query may go, on the TTL clock; null if all are wanted. */
export const nextExpiryMs = (cvr: Cvr): number | null => {
  let next: number | null = null;
  for (const query of cvr.queries.values()) {
    const expiry = expiryMs(query);
    if (expiry !== null && (next === null || expiry < next)) next = expiry;
  }
  return next;
};
