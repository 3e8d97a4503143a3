import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import type {Duplex} from 'node:stream';
import type {WebSocketServer} from 'ws';
import type {ZeroConfig} from '../config/config.ts';
import {roleOf} from '../config/role.ts';
import {ChangeStreamerPortTaken, PipelineBug} from '../errors.ts';
import type {Log} from '../observe/log.ts';
import {requestUrl} from '../sync/handshake.ts';
import type {ChangeHub} from './hub.ts';
import {peerAddress} from './peer-address.ts';
import {carriesSecret} from './secret.ts';
import {Subscriber} from './subscriber.ts';
import {CHANGES_PATH, PING_MS, type Subscription, WIRE_VERSION} from './wire.ts';

export interface NodeServerOptions {
  readonly config: Pick<ZeroConfig, 'changeStreamer' | 'numSyncWorkers'>;
  readonly log: Log;
  readonly hub: ChangeHub;
  /** Begins to serve a subscriber; its signal says when it is gone. */
  readonly serve: (subscriber: Subscriber) => void;
  /** Requests of other paths; returns false if it does not know one. */
  readonly respond?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

export interface NodeServer {
  readonly port: number;
  close(): void;
}

/**
 * The port that other nodes know (replication.md §6.8). Without a secret, a single node listens for its own machine only:
 * whoever reaches the port reads every row.
 * @returns null if a single node cannot have the port: it serves its clients all the same.
 * @throws ChangeStreamerPortTaken on a replication-manager.
 */
export const startNodeServer = async (options: NodeServerOptions): Promise<NodeServer | null> => {
  const {config, log, hub} = options;
  const {port, secret, address} = config.changeStreamer;
  const alone = roleOf(config) === 'single-node';
  const host = alone && !secret ? '127.0.0.1' : undefined;
  const server = createServer((request, response) => respond(options, request, response));
  const upgrade = upgrades(options);
  server.on('upgrade', (request, socket, head) => void upgrade(request, socket, head));
  try {
    await listen(server, port, host);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'is in use' : 'cannot be had';
    const message = `Port ${port}, on which other nodes fetch changes, ${reason}. Choose another with ZERO_CHANGE_STREAMER_PORT or --change-streamer-port.`;
    if (!alone) throw new ChangeStreamerPortTaken(message, {cause: error});
    log.warn(`${message} No other node can follow this one meanwhile.`);
    return null;
  }
  const actual = (server.address() as AddressInfo).port;
  hub.address = host ? `${host}:${actual}` : (address?.replace(/:0$/, `:${actual}`) ?? null);
  return {
    port: actual,
    close: () => {
      server.close();
      server.closeAllConnections();
      hub.withdraw();
    },
  };
};

const listen = (server: Server, port: number, host: string | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });

const respond = (
  {hub, respond: others}: NodeServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): void => {
  if (others?.(request, response)) return;
  const pathname = requestUrl(request.url ?? '/')?.pathname;
  const known = pathname === '/' || pathname === '/keepalive';
  const ready = hub.replicaVersion !== null;
  response.statusCode = known ? (ready ? 200 : 503) : 404;
  response.setHeader('Content-Type', 'text/plain');
  response.end(known ? (ready ? 'OK' : 'starting') : 'not found');
};

const upgrades = ({config, hub, serve}: NodeServerOptions) => {
  const {secret, flowControlSlowSubscriberGracePeriodSeconds} = config.changeStreamer;
  const limits = {pingMs: PING_MS, graceMs: flowControlSlowSubscriberGracePeriodSeconds * 1000};
  let accepting: WebSocketServer | null = null;
  return async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    socket.on('error', () => socket.destroy());
    const url = requestUrl(request.url ?? '/');
    if (!carriesSecret(request, secret)) return refuse(socket, 401, 'the secret is missing or another one');
    if (url?.pathname !== CHANGES_PATH)
      return refuse(socket, 400, `this node speaks version ${WIRE_VERSION} of the protocol`);
    const subscription = subscriptionOf(url.searchParams);
    if (!subscription) return refuse(socket, 400, 'taskID, replicaVersion or watermark is missing');
    if (hub.replicaVersion === null) return refuse(socket, 503, 'there are no changes to serve yet');
    // Loaded by the first who comes: to most nodes nobody does.
    const {WebSocketServer} = await import('ws');
    accepting ??= new WebSocketServer({noServer: true, maxPayload: 64 * 1024, perMessageDeflate: false});
    accepting.handleUpgrade(request, socket, head, ws => {
      const reservation = hub.reserve(subscription.taskID, subscription.watermark);
      const address = peerAddress(request.socket);
      const subscriber = new Subscriber(ws, subscription, address, reservation, limits);
      hub.join(subscriber, reservation);
      const {replicaVersion} = hub;
      if (replicaVersion === null) subscriber.close();
      else if (replicaVersion !== subscription.replicaVersion)
        subscriber.refuse('WrongReplicaVersion', `The replica here is ${replicaVersion}.`);
      else {
        const {last} = hub.live;
        if (last === null) throw new PipelineBug('A change log is served that nobody has opened.');
        subscriber.greet(replicaVersion, last);
        serve(subscriber);
      }
    });
  };
};

const subscriptionOf = (params: URLSearchParams): Subscription | null => {
  const taskID = params.get('taskID');
  const replicaVersion = params.get('replicaVersion');
  const watermark = params.get('watermark');
  const snapshotPort = Number(params.get('snapshotPort')) || undefined;
  return taskID && replicaVersion && watermark ? {taskID, replicaVersion, watermark, snapshotPort} : null;
};

const refuse = (socket: Duplex, status: number, reason: string): void => {
  socket.end(
    `HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(reason)}\r\nConnection: close\r\n\r\n${reason}`,
  );
};

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  503: 'Service Unavailable',
};
