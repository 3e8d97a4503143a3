import {DaemonError, UpstreamUnreachable} from '../errors.ts';

/** What Node says of a server that cannot be reached, or not any more, or whose name does not resolve. */
export const isNetworkFault = (error: unknown): boolean =>
  /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENET|ENOTFOUND|EAI_)/.test((error as {code?: string} | null)?.code ?? '');

/**
 * An error of PostgreSQL or of the connection to it that nobody has named, as one to wait out: a server that is shutting
 * down, a standby that is not promoted yet, a connection that broke between two statements. null if it is neither.
 */
export const upstreamFault = (error: unknown): DaemonError | null => {
  if (error instanceof DaemonError) return null;
  const {code, severity, message = ''} = error as {code?: string; severity?: string; message?: string};
  const fromServer = severity !== undefined && /^[0-9A-Z]{5}$/.test(code ?? '');
  if (!fromServer && !isNetworkFault(error) && !/^(Connection|Client|timeout)/.test(message)) return null;
  // Messages of the classes 22 and 23 may quote values.
  const reason = /^2[23]/.test(code ?? '') ? `SQLSTATE ${code}` : message || code;
  return new UpstreamUnreachable(`PostgreSQL does not answer as it should (${reason}).`, {cause: error});
};
