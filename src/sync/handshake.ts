import {protocolError} from '../protocol/error-body.ts';
import {idFault} from '../protocol/identifier.ts';
import {parseJson} from '../protocol/parse-json.ts';
import {parseInitConnection} from '../protocol/parse-up.ts';
import type {InitConnection} from '../protocol/up.ts';
import type {HandedRequest} from './types.ts';

const OLDEST_PROTOCOL = 30;
export const NEWEST_PROTOCOL = 51;

/** What an upgrade request says of its client (protocol.md §1). */
export interface Handshake {
  readonly protocolVersion: number;
  readonly clientID: string;
  readonly clientGroupID: string;
  readonly userID: string | null;
  readonly baseCookie: string | null;
  readonly wsID: string;
  readonly profileID: string;
  readonly authToken: string | null;
  readonly initConnection: InitConnection | null;
}

/** Go into indexes of the view records. */
const KEPT = new Set(['clientGroupID', 'clientID', 'profileID']);

/** The request is no proper handshake; the text is the close reason. */
export class HandshakeError extends Error {}

const PATH = /^(?:\/[^/]+)?\/sync\/v(\d+)\/[^/]+$/;

/** A request's target as a URL; null if it is none, as `//` is not. */
export const requestUrl = (target: string): URL | null => {
  try {
    return new URL(target, 'http://localhost');
  } catch {
    return null;
  }
};

/** The client group of a connect URL, by which the dispatcher chooses a worker; null if there is none. */
export const clientGroupOfUrl = (target: string): string | null =>
  requestUrl(target)?.searchParams.get('clientGroupID') || null;

/** @throws HandshakeError naming the missing or malformed part; ProtocolError `VersionNotSupported`, `InvalidMessage` */
export const parseHandshake = (request: HandedRequest): Handshake => {
  const url = requestUrl(request.url);
  const version = url && PATH.exec(url.pathname)?.[1];
  if (!version) throw new HandshakeError(`no such path: expected /sync/v${NEWEST_PROTOCOL}/connect`);
  checkVersion(Number(version));
  const param = (name: string) => {
    const value = url.searchParams.get(name) || null;
    // A cookie has an error of its own.
    const fault =
      value && name !== 'baseCookie' ? idFault(value, KEPT.has(name) ? undefined : Infinity) : null;
    if (fault) throw new HandshakeError(`invalid querystring parameter ${name}, ${fault}`);
    return value;
  };
  const required = (name: string) => {
    const value = param(name);
    if (value === null) throw new HandshakeError(`invalid querystring - missing ${name}`);
    return value;
  };
  const number = (name: string) => {
    if (Number.isNaN(Number.parseInt(required(name), 10)))
      throw new HandshakeError(`invalid querystring parameter ${name}, expected a number`);
  };
  number('ts');
  number('lmid');
  const clientGroupID = required('clientGroupID');
  const header = request.headers['sec-websocket-protocol'];
  const {authToken, initConnectionMessage} = header === undefined ? {} : decodeProtocolHeader(header);
  return {
    protocolVersion: Number(version),
    clientID: required('clientID'),
    clientGroupID,
    userID: param('userID'),
    baseCookie: param('baseCookie'),
    wsID: param('wsid') ?? '',
    profileID: param('profileID') ?? `cg${clientGroupID}`,
    authToken: authToken || null,
    initConnection: initConnectionMessage === undefined ? null : parseInitConnection(initConnectionMessage),
  };
};

/** Before anything else is looked at: in another version it may have another form. */
const checkVersion = (version: number): void => {
  if (version >= OLDEST_PROTOCOL && version <= NEWEST_PROTOCOL) return;
  const older = version > NEWEST_PROTOCOL ? 'server' : 'client';
  throw protocolError(
    'VersionNotSupported',
    `server is at sync protocol v${NEWEST_PROTOCOL} and does not support v${version}. The ${older} must be updated to a newer release.`,
  );
};

/** `encodeURIComponent(base64(JSON))` (protocol.md §1.4). */
const decodeProtocolHeader = (value: string): {authToken?: string; initConnectionMessage?: unknown} => {
  try {
    const decoded = parseJson(Buffer.from(decodeURIComponent(value), 'base64').toString('utf8'));
    if (typeof decoded === 'object' && decoded !== null) return decoded;
  } catch {
    // Reported below: the text itself may hold a token.
  }
  throw new HandshakeError('the Sec-WebSocket-Protocol header cannot be decoded');
};
