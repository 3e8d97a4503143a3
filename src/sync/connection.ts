import type {Socket} from 'node:net';
import type {RawData, WebSocket} from 'ws';
import type {Auth} from '../auth/auth.ts';
import {unreadableNow} from '../auth/permissions.ts';
import {DaemonError, PermissionsUnreadable} from '../errors.ts';
import type {Log} from '../observe/log.ts';
import type {Down} from '../protocol/down.ts';
import {ProtocolError, protocolError} from '../protocol/error-body.ts';
import {parseUp} from '../protocol/parse-up.ts';
import type {Up} from '../protocol/up.ts';
import {closeReason} from './close-reason.ts';
import {ExpiryTimer} from './expiry.ts';
import type {Handshake} from './handshake.ts';
import type {QuietWatch, Speaker} from './quiet-watch.ts';
import type {AppTargets, ClientConnection, MessageHandler, SentWitness} from './types.ts';
import {wireFrames} from './wire-frames.ts';

/** As clients write it: answered at once, also while their group works. Others wait for their turn. */
const PING_FRAME = JSON.stringify(['ping', {}]);
const PONG_FRAMES = [Buffer.from(JSON.stringify(['pong', {}]))];
/** Messages waiting for the group before the socket is paused. */
const MAX_QUEUED = 64;
/** Bytes on their way to a client from which on it is not listened to: it could have itself told more than memory holds. */
const MAX_UNREAD = 4 * 1024 * 1024;

/** One client's socket: messages in strict order to the handler, pings answered at once. */
export class Connection implements ClientConnection, Speaker {
  readonly clientGroupID: string;
  readonly clientID: string;
  readonly wsID: string;
  readonly profileID: string;
  readonly userID: string | null;
  readonly baseCookie: string | null;
  readonly protocolVersion: number;
  readonly headers: Readonly<Record<string, string>>;
  appTargets: AppTargets = {};
  lastSentMs = Date.now();
  witness: SentWitness | null = null;
  readonly #socket: WebSocket;
  readonly #tcp: Socket;
  readonly #handler: MessageHandler;
  readonly #log: Log;
  readonly #quiet: QuietWatch;
  readonly #expiry = new ExpiryTimer(() =>
    this.fail(protocolError('AuthInvalidated', 'The auth token has expired.')),
  );
  #auth: Auth;
  /** Texts, and what came with the handshake. */
  readonly #queue: (string | Up)[] = [];
  #busy = false;
  #pongWaits = false;
  #closed = false;

  constructor(
    socket: WebSocket,
    handshake: Handshake,
    auth: Auth,
    headers: Readonly<Record<string, string>>,
    handler: MessageHandler,
    log: Log,
    tcp: Socket,
    quiet: QuietWatch,
  ) {
    this.#socket = socket;
    this.#tcp = tcp;
    this.#handler = handler;
    this.#log = log;
    this.#auth = auth;
    this.#quiet = quiet;
    this.#expiry.watch(auth);
    this.headers = headers;
    this.clientGroupID = handshake.clientGroupID;
    this.clientID = handshake.clientID;
    this.wsID = handshake.wsID;
    this.profileID = handshake.profileID;
    this.userID = handshake.userID;
    this.baseCookie = handshake.baseCookie;
    this.protocolVersion = handshake.protocolVersion;
    quiet.add(this);
    socket.on('message', data => this.#receive(data));
    socket.on('close', () => this.#ended());
    // A message over the size limit arrives here; ws has already closed with 1009.
    socket.on('error', err => log.warn({clientID: this.clientID, err}, 'client socket failed'));
  }

  get auth(): Auth {
    return this.#auth;
  }

  set auth(auth: Auth) {
    this.#auth = auth;
    if (!this.#closed) this.#expiry.watch(auth);
  }

  get closed(): boolean {
    return this.#closed;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** Hands over the messages that came before: at first the handshake's initConnection. */
  start(first: Up | null): void {
    if (first !== null) this.#queue.unshift(first);
    this.#next();
  }

  send(message: Down): void {
    if (!this.#closed) this.witness?.message(message);
    this.#write(JSON.stringify(message));
  }

  sendFrames(frames: readonly Buffer[]): void {
    // Also what a socket that is closing does not take any more: when its end is seen depends on nothing recorded.
    if (!this.#closed) this.witness?.frames(frames);
    this.#writeTogether(frames);
  }

  /** One that is still on its way answers for all. */
  pong(): void {
    if (this.#pongWaits) return;
    this.#writeTogether(PONG_FRAMES);
    if (this.#socket.bufferedAmount === 0) return;
    this.#pongWaits = true;
    void this.drained().then(() => {
      this.#pongWaits = false;
    });
  }

  async drained(toBytes = 0): Promise<void> {
    while (!this.#closed && this.#socket.bufferedAmount > toBytes)
      await new Promise(resolve => setTimeout(resolve, 20));
  }

  fail(error: ProtocolError): void {
    if (this.#closed) return;
    this.send(['error', error.body]);
    const {kind} = error.body;
    if (kind === 'MutationFailed' || kind === 'MutationRateLimited') return;
    this.#socket.close(
      kind === 'Unauthorized' || kind === 'AuthInvalidated' ? 3000 : 1000,
      closeReason(error.message),
    );
    this.#ended();
  }

  close(reason: string): void {
    if (this.#closed) return;
    this.#socket.close(1000, closeReason(reason));
    this.#ended();
  }

  get #isOpen(): boolean {
    return !this.#closed && this.#socket.readyState === this.#socket.OPEN;
  }

  #writeTogether(frames: readonly Buffer[]): void {
    if (!this.#isOpen) return;
    const wire = this.#socket.extensions ? null : wireFrames(frames);
    if (wire) {
      // Past the library, which without compression holds nothing back: it would make each frame anew for each client.
      this.lastSentMs = Date.now();
      this.#tcp.write(wire);
      return;
    }
    // All frames of a poke in one system call.
    this.#tcp.cork();
    for (const frame of frames) this.#write(frame);
    this.#tcp.uncork();
  }

  #write(frame: string | Buffer): void {
    if (!this.#isOpen) return;
    this.lastSentMs = Date.now();
    this.#socket.send(frame, {binary: false});
  }

  #receive(data: RawData): void {
    if (this.#closed) return;
    const frame = data.toString();
    if (frame === PING_FRAME) return this.pong();
    this.#queue.push(frame);
    if (this.#queue.length >= MAX_QUEUED) this.#socket.pause();
    this.#next();
  }

  #next(): void {
    if (this.#busy || this.#closed) return;
    const message = this.#queue.shift();
    if (this.#socket.isPaused && this.#queue.length < MAX_QUEUED / 2) this.#socket.resume();
    if (message === undefined) return;
    this.#busy = true;
    void this.#handle(message).finally(() => {
      this.#busy = false;
      this.#next();
    });
  }

  async #handle(message: string | Up): Promise<void> {
    try {
      const parsed = typeof message === 'string' ? parseUp(message) : message;
      if (parsed[0] === 'ping') this.pong();
      else await this.#handler.message(this, parsed);
      await this.drained(MAX_UNREAD);
    } catch (error) {
      this.fail(toProtocolError(error, this.#log, this.clientID));
    }
  }

  #ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#quiet.delete(this);
    this.#expiry.stop();
    this.#queue.length = 0;
    this.#handler.disconnected(this);
  }
}

/** What a client is told of an error: a protocol error as it is, our own by its text, anything else without details. */
export const toProtocolError = (error: unknown, log: Log, clientID: string): ProtocolError => {
  if (error instanceof ProtocolError) return error;
  // In the log already, once.
  if (error instanceof PermissionsUnreadable) return unreadableNow(error);
  log.error({err: error, clientID}, 'a client message failed');
  const text = error instanceof DaemonError ? error.message : 'Internal error; see the server log.';
  return protocolError('Internal', text, {cause: error});
};
