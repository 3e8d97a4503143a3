import {setMaxListeners} from 'node:events';
import {Zero, type ZeroOptions} from '@rocicorp/zero';
import WebSocket from 'ws';

/**
 * Node 20 has no WebSocket of its own; `ws` throws an error that nobody listens to, as when the client gives up a socket
 * that is still connecting, where a browser's would only close. And where a browser tells each message in a task of its
 * own, `ws` tells several at once: an error right behind `connected` the client then takes for one of no connection, and
 * believes itself connected until it pings.
 */
class QuietWebSocket extends WebSocket {
  constructor(url: string, protocols?: string | string[]) {
    super(url, protocols, {allowSynchronousEvents: false});
    this.on('error', () => {});
  }
}
Object.assign(globalThis, {WebSocket: QuietWebSocket});

// The client listens to one signal for each pause it makes, and goes on listening when the pause is over: Node would warn.
setMaxListeners(0);

type AnySchema = ZeroOptions['schema'];

export interface StockClient<S extends AnySchema> {
  readonly zero: Zero<S>;
  /** Reasons for which the client asked to be reloaded; empty in a healthy run. */
  readonly complaints: string[];
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * The stock client, in memory, with handlers of its own: the default ones schedule a page reload that never comes in
 * Node, after which every connecting client of the process spins.
 */
export const stockClient = <S extends AnySchema>(
  options: Pick<ZeroOptions<S>, 'schema'> & Partial<ZeroOptions<S>>,
): StockClient<S> => {
  const complaints: string[] = [];
  const zero = new Zero({
    kvStore: 'mem',
    userID: 'tester',
    logLevel: 'error',
    onUpdateNeeded: reason => complaints.push(`update needed: ${reason.type} ${reason.message ?? ''}`),
    onClientStateNotFound: () => complaints.push('client state not found'),
    ...options,
  } as ZeroOptions<S>) as Zero<S>;
  return {
    zero,
    complaints,
    async [Symbol.asyncDispose]() {
      await zero.close();
    },
  };
};
