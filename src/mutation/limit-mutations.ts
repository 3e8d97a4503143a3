import {filter, type MonoTypeOperatorFunction} from 'rxjs';
import type {KeyedLimiter} from './sliding-window.ts';
import type {MutationRequest} from './types.ts';

/**
 * Lets mutations through as far as their user's window allows; `refuse` hears of the others. After a refused id, later
 * ids of the same client are refused until it comes again: let through, they would be out of order.
 */
export const limitMutations = (
  limiter: KeyedLimiter | null,
  refuse: (request: MutationRequest) => void,
): MonoTypeOperatorFunction<MutationRequest> => {
  const refusedFrom = new Map<string, number>();
  return filter(request => {
    if (!limiter) return true;
    const {connection, mutation} = request;
    const client = `${connection.clientGroupID}\0${mutation.clientID}`;
    const waiting = refusedFrom.get(client);
    const inOrder = waiting === undefined || mutation.id <= waiting;
    if (
      inOrder &&
      limiter.allow(connection.userID === null ? `g${connection.clientGroupID}` : `u${connection.userID}`)
    ) {
      refusedFrom.delete(client);
      return true;
    }
    refusedFrom.set(client, waiting === undefined ? mutation.id : Math.min(waiting, mutation.id));
    refuse(request);
    return false;
  });
};
