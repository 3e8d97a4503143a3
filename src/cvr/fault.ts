import {isNetworkFault} from '../pg/upstream-fault.ts';
import {ProtocolError} from '../protocol/error-body.ts';

/** The client reconnects at once, here or elsewhere, and its group is loaded again. */
export const rehome = (message: string, options?: ErrorOptions): ProtocolError =>
  new ProtocolError({kind: 'Rehome', message, origin: 'zeroCache', maxBackoffMs: 0}, options);

/** SQLSTATE classes of a server that goes, comes or has no room: connection, resources, operator intervention. */
const TRANSIENT_CLASSES = new Set(['08', '53', '57']);
const TRANSIENT_CODES = new Set(['40001', '40P01', '25006']);

/** True for what passes by itself: a lost connection, a restart or failover of PostgreSQL, the end of this server. */
const isTransient = (error: unknown): boolean => {
  const {code, message} = error as {code?: string; message?: string};
  if (isNetworkFault(error)) return true;
  if (code)
    return TRANSIENT_CODES.has(code) || (code.length === 5 && TRANSIENT_CLASSES.has(code.slice(0, 2)));
  return /connection (terminated|timeout)|timeout exceeded when trying to connect|client (has encountered|was closed)|pool after calling end/i.test(
    message ?? '',
  );
};

/**
 * What a client group's clients are told of a failed statement. After a lost connection nobody knows whether it took
 * effect: the record must be loaded again, which a reconnect does; `Internal` would leave the client standing.
 */
export const asGroupFault = (error: unknown): unknown =>
  isTransient(error)
    ? new ProtocolError(
        {
          kind: 'ServerOverloaded',
          message: 'The view record database cannot be reached at the moment.',
          origin: 'zeroCache',
          minBackoffMs: 1000,
        },
        {cause: error},
      )
    : error;
