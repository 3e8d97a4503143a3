import type {IncomingMessage, Server, ServerResponse} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import type {ZeroConfig} from '../config/config.ts';
import type {DaemonInspection} from '../observe/inspection.ts';
import {createLog, type Log} from '../observe/log.ts';
import {isExported} from '../observe/otlp.ts';
import {NEWEST_PROTOCOL} from '../sync/handshake.ts';
import {Dispatcher} from './dispatcher.ts';
import {createHttpServer} from './http-server.ts';
import {watchKeepalive} from './keepalive.ts';
import type {StatzAnswer} from './statz.ts';

export interface ServerOptions {
  readonly config: ZeroConfig;
  readonly version: string;
  /** Lines said once at start. */
  readonly remarks: readonly {readonly level: 'warn' | 'info'; readonly text: string}[];
  /** Serves other paths, as development mode does its page; returns false if it does not know one. */
  readonly page?: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  /** Whether a WebSocket is accepted, judged by its request; without it, every one is. */
  readonly admits?: ((request: IncomingMessage) => boolean) | undefined;
  /** The address to listen on; without it, every one. */
  readonly host?: string;
}

export interface RunningServer {
  /** The port it listens on; settled even if the configured one was 0. */
  readonly port: number;
  readonly log: Log;
  /** Resolves when clients can connect; with lazy startup, at once. */
  readonly ready: Promise<void>;
  /** Resolves when it wants to end by itself: a child that failed, health checks that ceased. Never rejects. */
  readonly ending: Promise<{readonly code: number; readonly reason: string}>;
  inspect(): Promise<DaemonInspection>;
  /** Sends clients elsewhere, ends all processes, closes the port. */
  stop(reason?: string): Promise<void>;
}

/** How long a client that woke a lazy server is held; it gives up after ten seconds itself. */
const LAZY_HOLD_MS = 8000;

/** Starts a server: its port, then its processes. @throws ListenError if the port cannot be had. */
export const startServer = async (options: ServerOptions): Promise<RunningServer> => {
  const {config, version} = options;
  const log = createLog(config.log, {worker: 'dispatcher'});
  log.info(
    {
      version: config.serverVersion ?? version,
      protocol: NEWEST_PROTOCOL,
      taskID: config.taskID,
      app: config.app.id,
      port: config.port,
    },
    'zerostream starts',
  );
  for (const {level, text} of options.remarks) log[level](text);

  const startedAtMs = Date.now();
  let dispatcher: Dispatcher | null = null;
  let end: (how: {code: number; reason: string}) => void = () => {};
  const ending = new Promise<{code: number; reason: string}>(resolve => {
    end = resolve;
  });
  const wake = (): Dispatcher => {
    if (dispatcher) return dispatcher;
    const started = new Dispatcher(config, log);
    dispatcher = started;
    void started.failed.then(code => end({code, reason: 'a process ended'}));
    void started.ready.then(() => log.info({port: config.port}, 'ready'));
    return started;
  };
  const inspect = async () => dispatcher?.inspect(version) ?? asleep(config, version, startedAtMs);
  const keepalive = watchKeepalive(config.keepaliveTimeoutMs, () =>
    end({code: 0, reason: `no /keepalive request came for ${config.keepaliveTimeoutMs} ms`}),
  );

  let statz: ((params: URLSearchParams) => Promise<StatzAnswer>) | null = null;
  const server = createHttpServer({
    config,
    log,
    // A lazy server is healthy while it sleeps.
    isReady: () => dispatcher?.isReady ?? true,
    onKeepalive: keepalive.seen,
    inspect,
    // Loaded when first asked for: it brings SQLite with it.
    statz: async params => {
      statz ??= (await import('./statz.ts')).createStatz(config, inspect);
      return statz(params);
    },
    upgrade: (request, socket, head) => {
      const sleeping = dispatcher === null;
      const awake = wake();
      if (awake.isReady) awake.upgrade(request, socket, head);
      else if (sleeping || config.lazyStartup) holdUntilReady(awake, request, socket, head);
      // Until a worker can take it: the client tries again, as after any refused connection.
      else refuse(socket);
    },
    record: (socket, request) => {
      if (dispatcher) dispatcher.record(socket, request);
      else refuse(socket);
    },
    admits: options.admits,
    page: options.page,
  });
  const port = await listen(server, config.port, options.host);
  if (config.lazyStartup) log.info({port}, 'waiting for the first client; nothing else is started before');
  else wake();

  const exported = isExported('METRICS', process.env)
    ? import('../observe/otlp-sdk.ts').then(({exportMetrics}) =>
        exportMetrics({version, worker: 'dispatcher', workerIndex: 0}, inspect, log),
      )
    : null;
  let stopped: Promise<void> | null = null;
  return {
    port,
    log,
    ready: config.lazyStartup ? Promise.resolve() : wake().ready,
    ending,
    inspect,
    stop: reason => {
      stopped ??= (async () => {
        keepalive.stop();
        await (await exported)?.stop();
        server.close();
        await dispatcher?.stop(reason ?? 'The server is shutting down.');
        server.closeAllConnections();
      })();
      return stopped;
    },
  };
};

/** The port cannot be had; the message says what to do. */
export class ListenError extends Error {}

const listen = (server: Server, port: number, host: string | undefined): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new ListenError(
          error.code === 'EADDRINUSE'
            ? `Port ${port} is in use by another program. Choose another with ZERO_PORT or --port.`
            : `Cannot listen on port ${port} (${error.code}). Choose another with ZERO_PORT or --port.`,
          {cause: error},
        ),
      ),
    );
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });

const holdUntilReady = (dispatcher: Dispatcher, request: IncomingMessage, socket: Socket, head: Buffer) => {
  const timer = setTimeout(() => refuse(socket), LAZY_HOLD_MS);
  void dispatcher.ready.then(() => {
    clearTimeout(timer);
    if (!socket.destroyed && socket.writable) dispatcher.upgrade(request, socket, head);
  });
};

const refuse = (socket: Socket): void => {
  socket.end('HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n');
};

/** What a server shows that has not started anything yet. */
const asleep = (config: ZeroConfig, version: string, startedAtMs: number): DaemonInspection => ({
  taskID: config.taskID,
  serverVersion: version,
  startedAtMs,
  atMs: Date.now(),
  replicator: null,
  workers: [],
  processes: [],
});
