import type {IncomingMessage} from 'node:http';
import type {HandedRequest} from '../sync/types.ts';

/** What of an upgrade request can be handed to another process. */
export const plainRequest = (request: IncomingMessage): HandedRequest => ({
  url: request.url ?? '',
  method: request.method ?? 'GET',
  httpVersion: request.httpVersion,
  headers: Object.fromEntries(
    Object.entries(request.headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
    ),
  ),
  remoteAddress: request.socket.remoteAddress ?? null,
});
