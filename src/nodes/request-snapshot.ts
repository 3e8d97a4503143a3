import {request as httpRequest, type IncomingMessage} from 'node:http';
import {request as httpsRequest} from 'node:https';
import {NodeRefused, SnapshotUnavailable} from '../errors.ts';
import {secretHeaders} from './secret.ts';
import {
  etagOf,
  readOffer,
  SNAPSHOT_PATH,
  type SnapshotOffer,
  type SnapshotRefusal,
} from './snapshot-offer.ts';

const SILENT_MS = 30_000;

export interface SnapshotRequest {
  /** `ws://`, `wss://`, `http://` or `https://`, host and port of the other node's change-streamer. */
  readonly uri: string;
  readonly secret: string | undefined;
  readonly signal: AbortSignal;
  /** What is at hand of an earlier download, if anything. */
  readonly resume?: {readonly offer: SnapshotOffer; readonly from: number} | undefined;
  /** What came before was damaged: not the same copy again. */
  readonly anew?: boolean;
  /** Without a byte for so long the connection is given up. */
  readonly silentMs?: number | undefined;
}

export interface SnapshotAnswer {
  readonly offer: SnapshotOffer;
  /** The position in the file of the first byte of `body`. */
  readonly start: number;
  readonly body: IncomingMessage;
}

/**
 * Asks a node for its replica. The body must be read, or destroyed.
 * @throws SnapshotUnavailable, NodeRefused.
 */
export const requestSnapshot = async (options: SnapshotRequest): Promise<SnapshotAnswer> => {
  const {resume} = options;
  const body = await send(options);
  const offer = body.statusCode === 200 || body.statusCode === 206 ? readOffer(body.headers) : null;
  if (!offer) throw await refusal(options.uri, body);
  if (body.statusCode === 200) return {offer, start: 0, body};
  const start = Number(/^bytes (\d+)-/.exec(body.headers['content-range'] ?? '')?.[1] ?? Number.NaN);
  if (start === resume?.from && offer.sha256 === resume.offer.sha256) return {offer, start, body};
  body.destroy();
  throw new SnapshotUnavailable(`${hostOf(options.uri)} went on with another replica than was begun with.`);
};

const send = ({
  uri,
  secret,
  signal,
  resume,
  anew,
  silentMs = SILENT_MS,
}: SnapshotRequest): Promise<IncomingMessage> => {
  const url = new URL(uri.replace(/^ws/, 'http'));
  url.pathname = url.pathname.replace(/\/?$/, SNAPSHOT_PATH);
  const headers = {
    ...secretHeaders(secret),
    ...(resume ? {range: `bytes=${resume.from}-`, 'if-range': etagOf(resume.offer)} : {}),
    ...(anew ? {'cache-control': 'no-cache'} : {}),
  };
  return new Promise((resolve, reject) => {
    const options = {headers, signal, agent: false, timeout: silentMs} as const;
    const request = url.protocol === 'https:' ? httpsRequest(url, options) : httpRequest(url, options);
    request.on('timeout', () => request.destroy(new Error(`silent for ${silentMs / 1000} s`)));
    request.once('response', resolve);
    request.on('error', error => {
      const {code, message} = error as {code?: string; message: string};
      reject(new SnapshotUnavailable(`${hostOf(uri)} does not answer (${code ?? message}).`, {cause: error}));
    });
    request.end();
  });
};

/** Host and port, which is all that messages tell of a URI. */
export const hostOf = (uri: string): string => new URL(uri).host;

const refusal = async (uri: string, body: IncomingMessage): Promise<Error> => {
  const node = hostOf(uri);
  if (body.statusCode === 401) {
    body.destroy();
    return new NodeRefused(`${node} refuses this node: their secrets differ.`);
  }
  const text = await bodyText(body);
  try {
    const {reason, message} = JSON.parse(text) as SnapshotRefusal;
    const isComing = reason === 'preparing' || reason === 'busy';
    return new SnapshotUnavailable(
      `${node} has no replica to hand out yet: ${String(message).slice(0, 200)}`,
      {isComing},
    );
  } catch {
    return new SnapshotUnavailable(
      `${node} answers ${body.statusCode} to a request for its replica: is it the change-streamer port of a zerostream of this release?`,
    );
  }
};

const MAX_TEXT_BYTES = 4096;

const bodyText = async (body: IncomingMessage): Promise<string> => {
  let text = '';
  try {
    for await (const chunk of body) {
      text += String(chunk);
      if (text.length > MAX_TEXT_BYTES) break;
    }
  } catch {
    // What came until then must do.
  }
  return text;
};
