import {Socket} from 'node:net';
import type {ZeroConfig} from '../config/config.ts';
import {deserializeConfig} from '../config/handed-config.ts';
import {DaemonError, TakenOver} from '../errors.ts';
import {createLog, type Log} from '../observe/log.ts';
import {CONFIG_VARIABLE, EXIT_REPORTED, EXIT_TAKEN_OVER, type FromChild, type ToChild} from './ipc.ts';

export interface Parent {
  readonly config: ZeroConfig;
  readonly log: Log;
  send(message: FromChild): void;
  /** Reports the error to the parent, which prints it, and exits. */
  fatal(error: unknown): void;
  onMessage(listener: (message: ToChild, socket: Socket | undefined) => void): void;
}

/**
 * The child's end. It lives as long as its parent: when the channel closes, as it does when the parent is killed, it
 * exits at once, so that no orphan holds the slot or the ports. Signals are the parent's business.
 */
export const parentOf = (worker: string): Parent => {
  const config = deserializeConfig(process.env[CONFIG_VARIABLE] ?? '{}');
  const log = createLog(config.log, {worker});
  const send = (message: FromChild) => {
    if (process.connected) process.send?.(message);
  };
  const fatal = (error: unknown) => {
    const known = error instanceof DaemonError;
    const message = known ? error.message : String((error as Error).stack ?? error);
    const done = () => process.exit(error instanceof TakenOver ? EXIT_TAKEN_OVER : EXIT_REPORTED);
    if (!process.connected) return done();
    process.send?.({type: 'fatal', code: known ? error.code : null, message} satisfies FromChild, done);
  };
  process.on('disconnect', () => process.exit(0));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  return {
    config,
    log,
    send,
    fatal,
    onMessage: listener =>
      process.on('message', (message: ToChild, handle: unknown) =>
        listener(message, handle instanceof Socket ? handle : undefined),
      ),
  };
};
