import type {IncomingMessage, ServerResponse} from 'node:http';
import type {ZeroConfig} from '../config/config.ts';
import {createLog} from '../observe/log.ts';
import {NEWEST_PROTOCOL} from '../sync/handshake.ts';
import {Dispatcher} from './dispatcher.ts';
import {createHttpServer} from './http-server.ts';

export interface DaemonOptions {
  readonly config: ZeroConfig;
  readonly version: string;
  /** Lines said once at start. */
  readonly remarks: readonly {readonly level: 'warn' | 'info'; readonly text: string}[];
  readonly page?: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  /** Called when clients can connect. */
  readonly onReady?: () => void;
  /** Runs after everything else has ended. */
  readonly onStop?: () => Promise<void>;
}

/** Runs the server until a signal or a fault ends it. @returns the exit code. */
export const runDaemon = async (options: DaemonOptions): Promise<number> => {
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
  const dispatcher = new Dispatcher(config, log);
  const server = createHttpServer({
    config,
    isReady: () => dispatcher.isReady,
    inspect: () => dispatcher.inspect(version),
    upgrade: (request, socket, head) => {
      // Until a worker can take it: the client tries again, as after any refused connection.
      if (dispatcher.isReady) dispatcher.upgrade(request, socket, head);
      else socket.end('HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n');
    },
    page: options.page,
  });
  const listening = new Promise<number>(resolve => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      log.error(
        error.code === 'EADDRINUSE'
          ? `Port ${config.port} is in use by another program. Choose another with ZERO_PORT or --port.`
          : `Cannot listen on port ${config.port}: ${error.message}`,
      );
      resolve(1);
    });
    server.listen(config.port);
  });
  void dispatcher.ready.then(() => {
    log.info({port: config.port}, 'ready');
    options.onReady?.();
  });

  const signalled = new Promise<number>(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => {
        log.info({signal}, 'stopping');
        resolve(0);
      });
    process.once('SIGQUIT', () => process.exit(14));
  });
  const code = await Promise.race([signalled, dispatcher.failed, listening]);
  server.close();
  await dispatcher.stop('The server is shutting down.');
  server.closeAllConnections();
  await options.onStop?.();
  log.info({exitCode: code}, 'stopped');
  return code;
};
