import {ListenError, type RunningServer, type ServerOptions, startServer} from './start-server.ts';

export interface DaemonOptions extends ServerOptions {
  /** Called when clients can connect. */
  readonly onReady?: () => void;
  /** Runs after everything else has ended. */
  readonly onStop?: () => Promise<void>;
  /** Something else whose end is the server's end; resolves with the reason. */
  readonly fault?: Promise<string>;
}

/** Exit code of a stop at once and without draining (config-ops.md §2.3). */
const EXIT_AT_ONCE = 14;

/** Runs the server until a signal or a fault ends it. @returns the exit code. */
export const runDaemon = async (options: DaemonOptions): Promise<number> => {
  let server: RunningServer;
  try {
    server = await startServer(options);
  } catch (error) {
    await options.onStop?.();
    if (!(error instanceof ListenError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
  const {log} = server;
  void server.ready.then(() => options.onReady?.());
  const signalled = new Promise<number>(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => {
        log.info({signal}, 'stopping');
        resolve(0);
      });
    process.once('SIGQUIT', () => process.exit(EXIT_AT_ONCE));
  });
  const ended = server.ending.then(({code, reason}) => {
    if (code === 0) log.warn(`${reason}; stopping`);
    return code;
  });
  let stopping = false;
  const fault = options.fault?.then(reason => {
    if (!stopping) log.error(reason);
    return 1;
  });
  const code = await Promise.race([signalled, ended, ...(fault ? [fault] : [])]);
  stopping = true;
  await server.stop();
  await options.onStop?.();
  log.info({exitCode: code}, 'stopped');
  return code;
};
