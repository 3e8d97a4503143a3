import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import {pipeline} from 'node:stream/promises';
import {getHeapSnapshot} from 'node:v8';
import {isAdminPassword} from '../auth/admin-password.ts';
import type {ZeroConfig} from '../config/config.ts';
import type {DaemonInspection} from '../observe/inspection.ts';
import type {Log} from '../observe/log.ts';
import {
  parseRecordPath,
  RECORD_PATH,
  RECORD_PROTOCOL,
  type RecordRequest,
} from '../replay/record-protocol.ts';
import {requestUrl} from '../sync/handshake.ts';
import type {StatzAnswer} from './statz.ts';

export interface HttpDeps {
  readonly config: Pick<ZeroConfig, 'adminPassword' | 'development'>;
  readonly log: Log;
  readonly isReady: () => boolean;
  /** A `/keepalive` request came. */
  readonly onKeepalive?: () => void;
  readonly inspect: () => Promise<DaemonInspection>;
  /** Answers `/statz` with these parameters. */
  readonly statz: (params: URLSearchParams) => Promise<StatzAnswer>;
  readonly upgrade: (request: IncomingMessage, socket: Socket, head: Buffer) => void;
  /** A recorder with the admin's password asks for the stream, or for a worker's clients. */
  readonly record: (socket: Socket, request: RecordRequest) => void;
  /** Whether the WebSocket's page may speak with us; without it, every one may. */
  readonly admits?: ((request: IncomingMessage) => boolean) | undefined;
  /** Serves other paths, as development mode does its page; returns false if it does not know one. */
  readonly page?: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
}

/** The port that clients and operators see (config-ops.md §3). */
export const createHttpServer = (deps: HttpDeps): Server => {
  const server = createServer({maxHeaderSize: 64 * 1024}, (request, response) => {
    void respond(deps, request, response).catch(error => {
      deps.log.error(
        {err: error as Error, path: requestUrl(request.url ?? '/')?.pathname},
        'a request failed',
      );
      text(response, 500, 'Internal error; see the server log.');
    });
  });
  server.on('upgrade', (request, socket, head) => {
    // From here on nobody else listens, and an error without a listener would end the process.
    socket.on('error', () => socket.destroy());
    const url = requestUrl(request.url ?? '/');
    if (deps.admits && !deps.admits(request)) socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    else if (url?.pathname !== RECORD_PATH) deps.upgrade(request, socket as Socket, head);
    else if (request.headers.upgrade !== RECORD_PROTOCOL) socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    else if (mayRecord(deps, request)) deps.record(socket as Socket, parseRecordPath(url.searchParams));
    else socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n');
  });
  return server;
};

const respond = async (deps: HttpDeps, request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const url = requestUrl(request.url ?? '/');
  if (!url) return text(response, 400, 'bad request');
  const {pathname} = url;
  if (deps.page?.(request, response)) return;
  switch (pathname) {
    case '/keepalive':
      deps.onKeepalive?.();
      return deps.isReady() ? text(response, 200, 'OK') : text(response, 503, 'starting');
    case '/':
      return deps.isReady() ? text(response, 200, 'OK') : text(response, 503, 'starting');
    case '/metrics':
      response.setHeader('Content-Type', 'text/plain; version=0.0.4');
      // Loaded when first asked for: most servers are never asked.
      response.end(await (await import('../observe/metrics.ts')).metricsText(await deps.inspect()));
      return;
    case '/statz': {
      if (!admitted(deps, request, response, 'Statz')) return;
      const {status, contentType, body} = await deps.statz(url.searchParams);
      response.statusCode = status;
      response.setHeader('Content-Type', contentType);
      response.end(body);
      return;
    }
    case '/pipelines':
      if (!admitted(deps, request, response, 'Statz')) return;
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify(await deps.inspect(), null, 1));
      return;
    case '/heapz': {
      if (!admitted(deps, request, response, 'Heapz')) return;
      response.setHeader('Content-Disposition', 'attachment; filename="zerostream.heapsnapshot"');
      // Not by way of a file: it holds the secrets of the configuration, and others may read the folder.
      await pipeline(getHeapSnapshot(), response).catch(() => {});
      return;
    }
    default:
      return text(response, 404, 'not found');
  }
};

const text = (response: ServerResponse, status: number, body: string): void => {
  response.statusCode = status;
  response.setHeader('Content-Type', 'text/plain');
  response.end(body);
};

/** HTTP basic auth with any user name; answers 401 itself. */
const admitted = (
  deps: HttpDeps,
  request: IncomingMessage,
  response: ServerResponse,
  realm: string,
): boolean => {
  if (hasPassword(deps, request)) return true;
  response.setHeader('WWW-Authenticate', `Basic realm="${realm} Protected Area"`);
  text(response, 401, 'Unauthorized');
  return false;
};

/** A recording holds every row: without a password, in development, it is for the same machine alone. */
const mayRecord = (deps: HttpDeps, request: IncomingMessage): boolean =>
  hasPassword(deps, request) &&
  (Boolean(deps.config.adminPassword) || LOOPBACK.test(request.socket.remoteAddress ?? ''));

const LOOPBACK = /^(?:::ffff:)?127\.|^::1$/;

const hasPassword = ({config}: HttpDeps, request: IncomingMessage): boolean => {
  const given = Buffer.from(request.headers.authorization?.replace(/^Basic /, '') ?? '', 'base64').toString();
  return isAdminPassword(config, given.slice(given.indexOf(':') + 1));
};
