import type pg from 'pg';
import {catchError, EMPTY, exhaustMap, from, type Observable, timer} from 'rxjs';
import {type SlotHealth, slotHealth} from './slot.ts';

/**
 * Looks at the slot every `everyMs`. A look that fails is left out: a server that cannot be asked is noticed by the
 * stream itself, by its own limits.
 */
export const watchSlot = (
  client: pg.Client | pg.Pool,
  slot: string,
  everyMs: number,
): Observable<SlotHealth> =>
  timer(everyMs, everyMs).pipe(
    exhaustMap(() => from(slotHealth(client, slot)).pipe(catchError(() => EMPTY))),
  );
