import {parseConfig} from './config/parse-config.ts';
import {withTaskID} from './config/task-id.ts';
import {startServer} from './daemon/start-server.ts';
import type {DaemonInspection} from './observe/inspection.ts';
import {VERSION} from './version.ts';

export interface StartOptions {
  /** Options as environment variables, `ZERO_UPSTREAM_DB` and so on; the process's own if left out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Options as flags, after those of `env`. */
  readonly argv?: readonly string[];
  /** The address to listen on; without it, every one. */
  readonly host?: string;
  /** Aborting stops the server. */
  readonly signal?: AbortSignal;
}

export interface ZeroCache {
  readonly port: number;
  /** Resolves when clients can connect. @throws Error if the server ends before. */
  readonly ready: Promise<void>;
  /** Resolves when the server has ended, by `stop` or by a fault; `code` is 0 if it was asked to. */
  readonly ended: Promise<{readonly code: number; readonly reason: string}>;
  /** What `inspect-pipeline` shows. */
  inspect(): Promise<DaemonInspection>;
  /** Sends clients elsewhere and ends. */
  stop(): Promise<void>;
}

/**
 * Starts a server in processes of its own, children of this one (config-ops.md §6). @throws ConfigError with every problem
 * of the options at once; ListenError if the port cannot be had.
 */
export const startZeroCache = async (options: StartOptions = {}): Promise<ZeroCache> => {
  const unnamed: string[] = [];
  const env = await withTaskID(options.env ?? process.env, text => unnamed.push(text));
  const {config, warnings, notices} = parseConfig(options.argv ?? [], env);
  const server = await startServer({
    config,
    version: VERSION,
    remarks: [
      ...[...unnamed, ...warnings].map(text => ({level: 'warn' as const, text})),
      ...notices.map(text => ({level: 'info' as const, text})),
    ],
    ...(options.host === undefined ? {} : {host: options.host}),
  });
  let stop: () => Promise<void> = async () => {};
  const asked = new Promise<{code: number; reason: string}>(resolve => {
    stop = async () => {
      await server.stop();
      resolve({code: 0, reason: 'stopped'});
    };
  });
  const ended = Promise.race([
    asked,
    server.ending.then(async how => {
      await server.stop();
      return how;
    }),
  ]);
  const {signal} = options;
  const onAbort = () => void stop();
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, {once: true});
  const forget = () => signal?.removeEventListener('abort', onAbort);
  ended.then(forget, forget);
  const ready = Promise.race([
    server.ready,
    ended.then(({reason}) => {
      throw new Error(`The server ended before it was ready: ${reason}.`);
    }),
  ]);
  // Whoever does not wait for it is not to be ended by it.
  ready.catch(() => {});
  return {port: server.port, ready, ended, inspect: () => server.inspect(), stop: () => stop()};
};
