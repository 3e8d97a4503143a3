import type {Auth} from '../../auth/auth.ts';
import type {Down} from '../../protocol/down.ts';
import type {ProtocolError} from '../../protocol/error-body.ts';
import type {AppTargets, ClientConnection, MessageHandler} from '../../sync/types.ts';
import type {Connect, RecordedAuth} from './line.ts';
import {Notes} from './notes.ts';

/** A connection of a recording: says nothing by itself, and keeps what it is sent as lines of the recording. */
export class ScriptedConnection implements ClientConnection {
  readonly clientGroupID: string;
  readonly clientID: string;
  readonly wsID: string;
  readonly profileID: string;
  readonly userID: string | null;
  readonly baseCookie: string | null;
  readonly protocolVersion: number;
  readonly headers = {};
  readonly appTargets: AppTargets = {};
  readonly bufferedBytes = 0;
  auth: Auth;
  witness: ClientConnection['witness'] = null;
  closed = false;
  readonly #onClosed: MessageHandler['disconnected'];
  readonly #sent: string[] = [];
  #arrived: () => void = () => {};

  constructor(line: Connect, onClosed: MessageHandler['disconnected']) {
    this.clientGroupID = line.group;
    this.clientID = line.client;
    this.wsID = line.socket;
    this.profileID = line.profile;
    this.userID = line.user;
    this.baseCookie = line.cookie;
    this.protocolVersion = line.protocol;
    this.auth = withToken(line.auth);
    this.#onClosed = onClosed;
    const notes = new Notes(
      text => {
        this.#sent.push(text);
        this.#arrived();
      },
      () => line.on,
    );
    notes.watch(this);
  }

  send(message: Down): void {
    if (!this.closed) this.witness?.message(message);
  }

  sendFrames(frames: readonly Buffer[]): void {
    if (!this.closed) this.witness?.frames(frames);
  }

  /** The next line of what it was sent; null if none comes within `patienceMs`. */
  async take(patienceMs: number): Promise<string | null> {
    if (this.#sent.length === 0 && patienceMs > 0 && this.witness)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, patienceMs);
        this.#arrived = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    this.#arrived = () => {};
    return this.#sent.shift() ?? null;
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  fail(_error: ProtocolError): void {
    this.close();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#onClosed(this);
  }
}

/** Tokens are not recorded, and nothing in a replay asks for them. */
export const withToken = (auth: RecordedAuth): Auth =>
  auth.kind === 'jwt'
    ? {kind: 'jwt', token: '', claims: auth.claims}
    : auth.kind === 'opaque'
      ? {kind: 'opaque', token: ''}
      : {kind: 'none'};
