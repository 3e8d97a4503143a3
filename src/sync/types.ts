import type {Auth} from '../auth/auth.ts';
import type {Down} from '../protocol/down.ts';
import type {ProtocolError} from '../protocol/error-body.ts';
import type {Up} from '../protocol/up.ts';

/** Where a client wants its pushes and named queries to go, and with which headers; checked against allow-lists. */
export interface AppTargets {
  readonly pushURL?: string | undefined;
  readonly pushHeaders?: Readonly<Record<string, string>> | undefined;
  readonly queryURL?: string | undefined;
  readonly queryHeaders?: Readonly<Record<string, string>> | undefined;
}

/** Sees what a connection is sent. */
export interface SentWitness {
  message(message: Down): void;
  /** Whole messages, or those of a poke that go out before the rest. */
  frames(frames: readonly Buffer[]): void;
}

/** One client's socket after a successful handshake, as the rest of the worker sees it. */
export interface ClientConnection {
  readonly clientGroupID: string;
  readonly clientID: string;
  readonly wsID: string;
  readonly profileID: string;
  /** null: logged out. */
  readonly userID: string | null;
  readonly baseCookie: string | null;
  readonly protocolVersion: number;
  /** Changes with `updateAuth`. */
  auth: Auth;
  /** Empty until its initConnection. */
  appTargets: AppTargets;
  /** Headers of the upgrade request, names in lower case: forwarded to app endpoints by allow-list. */
  readonly headers: Readonly<Record<string, string>>;
  readonly closed: boolean;
  /** Set while a recording is made. */
  witness: SentWitness | null;

  send(message: Down): void;
  /** Sends frames already serialised (text), shared by many clients. Order with `send` is kept. */
  sendFrames(frames: readonly Buffer[]): void;
  /** Bytes handed to the socket but not yet taken by the kernel. */
  readonly bufferedBytes: number;
  /** Resolves when everything sent before is flushed, or the connection is closed. */
  drained(): Promise<void>;
  /** Sends the error and, unless it is a kind that leaves the socket open, closes. Never throws. */
  fail(error: ProtocolError): void;
  /** Closes without an error message. */
  close(reason: string): void;
}

/**
 * What a connection talks to. Calls for one connection come strictly in order, one at a time: the next message is
 * taken when the promise settles. A rejection with a ProtocolError is sent to the client; any other becomes `Internal`.
 * A fault of one connection or group never reaches another.
 */
export interface MessageHandler {
  /** After the handshake was accepted, before `connected` is sent. Throwing refuses the connection. */
  connect(connection: ClientConnection): Promise<void>;
  /** Every message but `ping`, which the connection answers itself. */
  message(connection: ClientConnection, message: Up): Promise<void>;
  disconnected(connection: ClientConnection): void;
}

/** The replica has reached a version; carries no data, only a signal that may be conflated to the newest. */
export interface VersionReady {
  readonly version: string;
  readonly upstreamCommitTimeMs: number | null;
  readonly readyTimeMs: number;
}

/** An upgrade request as the dispatcher hands it to a worker, next to its socket: plain data, so that it can cross processes. */
export interface HandedRequest {
  readonly url: string;
  readonly method: string;
  readonly httpVersion: string;
  /** Names in lower case; repeated headers joined with `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly remoteAddress: string | null;
}
