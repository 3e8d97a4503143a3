import {setTimeout} from 'node:timers/promises';
import type {ClientConnection} from '../sync/types.ts';
import {AddressRefused, type Endpoint} from './endpoint.ts';

/** Why a call of the app's server has no usable answer. Texts are for the client; none holds a token. */
export class AppCallFailed extends Error {
  readonly reason: 'http' | 'timeout' | 'parse' | 'internal';
  /** For `http`: its status and the beginning of the answer. */
  readonly status: number | undefined;
  readonly bodyPreview: string | undefined;

  constructor(
    reason: AppCallFailed['reason'],
    message: string,
    more: {readonly status?: number; readonly bodyPreview?: string; readonly cause?: unknown} = {},
  ) {
    super(message, {cause: more.cause});
    this.reason = reason;
    this.status = more.status;
    this.bodyPreview = more.bodyPreview;
  }

  /** The app's server does not accept the user any more. */
  get unauthorized(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

/** Which of the two addresses and header sets of a client counts. */
export type CallKind = 'push' | 'query';

/** What the caller's connection contributes to a request. */
export type Caller = Pick<ClientConnection, 'auth' | 'headers' | 'userID' | 'appTargets'>;

const MAX_ATTEMPTS = 4;
const LONGEST_PAUSE_MS = 1000;
const PREVIEW_CHARS = 512;

export interface CallOptions {
  readonly endpoint: Endpoint;
  readonly kind: CallKind;
  readonly caller: Caller;
  readonly body: unknown;
  /** W3C trace context of the message that asks, passed on. */
  readonly traceparent?: string | undefined;
}

/**
 * POSTs JSON to the app's server; server errors and broken connections are tried again (mutations-auth.md §6.2).
 * @returns the answer's JSON. @throws AppCallFailed
 */
export const callApp = async ({endpoint, kind, caller, body, traceparent}: CallOptions): Promise<unknown> => {
  const request = {
    method: 'POST',
    headers: headersOf(endpoint, kind, caller, traceparent),
    body: JSON.stringify(body),
  };
  const {timeoutMs} = endpoint;
  const address = addressOf(endpoint, kind, caller);
  const deadline = AbortSignal.timeout(timeoutMs);
  for (let attempt = 1; ; attempt++) {
    const failed = await post(address, request, deadline).catch(error => networkFailure(error, timeoutMs));
    if (!(failed instanceof AppCallFailed)) return failed.json;
    const again = failed.reason === 'http' ? failed.status! >= 500 : failed.reason === 'internal';
    if (!again || attempt >= MAX_ATTEMPTS || deadline.aborted) throw failed;
    await setTimeout(Math.min(LONGEST_PAUSE_MS, 100 * 2 ** (attempt - 1) + Math.random() * 100));
  }
};

/** All that the app's server gets to see of a caller, as a text. @throws AppCallFailed if nothing can be sent. */
export const seenOf = (endpoint: Endpoint, kind: CallKind, caller: Caller): string =>
  JSON.stringify([addressOf(endpoint, kind, caller), [...headersOf(endpoint, kind, caller)]]);

const post = async (
  address: string,
  request: RequestInit,
  signal: AbortSignal,
): Promise<{readonly json: unknown} | AppCallFailed> => {
  const response = await fetch(address, {...request, signal});
  const text = await response.text();
  if (!response.ok)
    return new AppCallFailed('http', `The app server answered with HTTP status ${response.status}.`, {
      status: response.status,
      bodyPreview: text.length > PREVIEW_CHARS ? `${text.slice(0, PREVIEW_CHARS)}...` : text,
    });
  try {
    return {json: JSON.parse(text) as unknown};
  } catch (cause) {
    return new AppCallFailed('parse', 'The app server answered with something else than JSON.', {cause});
  }
};

const networkFailure = (error: unknown, timeoutMs: number): AppCallFailed => {
  if ((error as Error).name === 'TimeoutError')
    return new AppCallFailed('timeout', `The app server did not answer within ${timeoutMs / 1000} s.`);
  const {code} = ((error as Error).cause ?? {}) as {code?: string};
  return new AppCallFailed('internal', `The app server cannot be reached${code ? ` (${code})` : ''}.`, {
    cause: error,
  });
};

const addressOf = (endpoint: Endpoint, kind: CallKind, {appTargets}: Caller): string => {
  try {
    return endpoint.address(kind === 'push' ? appTargets.pushURL : appTargets.queryURL);
  } catch (error) {
    if (error instanceof AddressRefused) throw new AppCallFailed('internal', error.message);
    throw error;
  }
};

/** Later ones win: what identifies the user is never overridden by headers that the client chose. */
const headersOf = (
  {apiKey, clientHeaders, requestHeaders, forwardCookies}: Endpoint,
  kind: CallKind,
  {auth, headers, appTargets}: Caller,
  traceparent?: string,
): Headers => {
  const sent = new Headers({'Content-Type': 'application/json'});
  if (apiKey) sent.set('X-Api-Key', apiKey);
  const own = (kind === 'push' ? appTargets.pushHeaders : appTargets.queryHeaders) ?? {};
  for (const [name, value] of Object.entries(own))
    if (clientHeaders.has(name.toLowerCase())) set(sent, name, value);
  for (const [name, value] of Object.entries(headers)) if (requestHeaders.has(name)) set(sent, name, value);
  if (auth.kind !== 'none') sent.set('Authorization', `Bearer ${auth.token}`);
  if (forwardCookies && headers['cookie']) sent.set('Cookie', headers['cookie']);
  if (headers['origin']) sent.set('Origin', headers['origin']);
  if (traceparent) set(sent, 'traceparent', traceparent);
  return sent;
};

const set = (sent: Headers, name: string, value: string): void => {
  try {
    sent.set(name, value);
  } catch {
    throw new AppCallFailed('internal', 'A header that the client chose cannot be sent.');
  }
};
