import {DaemonError, type Recovery} from '../errors.ts';
import type {JsonValue} from '../zql/ast.ts';
import type {MutationID} from './up.ts';

/** Kinds without further fields (protocol.md §4.1). */
export type BasicErrorKind =
  | 'AuthInvalidated'
  | 'ClientNotFound'
  | 'InvalidConnectionRequest'
  | 'InvalidConnectionRequestBaseCookie'
  | 'InvalidConnectionRequestLastMutationID'
  | 'InvalidConnectionRequestClientDeleted'
  | 'InvalidMessage'
  | 'InvalidPush'
  | 'MutationRateLimited'
  | 'MutationFailed'
  | 'Unauthorized'
  | 'VersionNotSupported'
  | 'SchemaVersionNotSupported'
  | 'Internal';

export type BackoffErrorKind = 'Rebalance' | 'Rehome' | 'ServerOverloaded';

/** Body of an `error` message. `origin` is always set: without it the client treats any error as fatal. */
export type ErrorBody =
  | {readonly kind: BasicErrorKind; readonly message: string; readonly origin: 'zeroCache'}
  | {
      readonly kind: BackoffErrorKind;
      readonly message: string;
      readonly origin: 'zeroCache';
      readonly minBackoffMs?: number;
      readonly maxBackoffMs?: number;
      readonly reconnectParams?: Readonly<Record<string, string>>;
    }
  | ({
      readonly kind: 'PushFailed';
      readonly message: string;
      readonly mutationIDs: readonly MutationID[];
    } & Cause)
  | ({
      readonly kind: 'TransformFailed';
      readonly message: string;
      readonly queryIDs: readonly string[];
    } & Cause);

/** Why a push or the transformation of queries failed, and where. */
export type Cause = {readonly details?: JsonValue | undefined} & (
  | {
      readonly origin: 'server';
      readonly reason: 'database' | 'parse' | 'oooMutation' | 'unsupportedPushVersion' | 'internal';
    }
  | {
      readonly origin: 'zeroCache';
      readonly reason: 'http';
      readonly status: number;
      readonly bodyPreview?: string;
    }
  | {readonly origin: 'zeroCache'; readonly reason: 'timeout' | 'parse' | 'internal'}
);

/**
 * G001 — An error that a client is told about. Except for `MutationFailed` and `MutationRateLimited`, which leave the
 * socket open, the connection ends with it. What the stock client does then follows from the
 * kind: it connects again, reloads, asks for new credentials, or tells the app.
 */
export class ProtocolError extends DaemonError {
  readonly code = 'G001';
  readonly recovery = 'reject' satisfies Recovery;

  constructor(
    readonly body: ErrorBody,
    options?: ErrorOptions,
  ) {
    super(body.message, options);
  }
}

/** Shorthand for the kinds that carry only a message. */
export const protocolError = (kind: BasicErrorKind, message: string, options?: ErrorOptions): ProtocolError =>
  new ProtocolError({kind, message, origin: 'zeroCache'}, options);

/** For what is over by itself or when somebody mends it: the client keeps what it has and comes back. */
export const comeBackLater = (message: string, afterMs: number, options?: ErrorOptions): ProtocolError =>
  new ProtocolError(
    {
      kind: 'ServerOverloaded',
      message,
      origin: 'zeroCache',
      minBackoffMs: afterMs,
      maxBackoffMs: 2 * afterMs,
    },
    options,
  );
