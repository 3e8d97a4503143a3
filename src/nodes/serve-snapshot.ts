import {createReadStream} from 'node:fs';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {pipeline} from 'node:stream/promises';
import {peerAddress} from './peer-address.ts';
import {carriesSecret} from './secret.ts';
import {type CopiesOptions, type Copy, SnapshotCopies} from './snapshot-copies.ts';
import {etagOf, offerHeaders, type SnapshotRefusal} from './snapshot-offer.ts';

export interface SnapshotServer {
  /** Answers GET and HEAD of `SNAPSHOT_PATH`; never throws. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** A copy is being made: the replica's WAL is pinned, so emptying it must not be waited for. */
  readonly isCopying: boolean;
  /** The replica is being rebuilt or replaced: copies of the old one are not handed out any more. */
  forget(): void;
  /** Breaks what is under way and deletes the copies. */
  close(): void;
}

export interface SnapshotServerOptions extends CopiesOptions {
  readonly secret: string | undefined;
  /** Downloads at once; others are told to come back. */
  readonly maxDownloads?: number;
}

/**
 * Downloads share the link with the change stream, each a connection of its own: with four of them a subscriber still has a
 * fifth of it. Each is read only as fast as its receiver takes it.
 */
const MAX_DOWNLOADS = 4;
/** A receiver that takes nothing for so long is gone. */
const STALLED_MS = 60_000;
/** Small enough that the stream's messages get between two of them. */
const CHUNK_BYTES = 256 * 1024;

/**
 * Hands out the replica to nodes that have none (replication.md §7.4): 200 with the file, 206 for the rest of a broken
 * download, 503 with `Retry-After` while a copy is being made or every place is taken, 507 without room for a copy, 401
 * without the secret.
 */
export const serveSnapshot = (options: SnapshotServerOptions): SnapshotServer => {
  const {secret, log, maxDownloads = MAX_DOWNLOADS} = options;
  const copies = new SnapshotCopies(options);
  const active = new Set<ServerResponse>();

  const send = async (request: IncomingMessage, response: ServerResponse, copy: Copy, start: number) => {
    const {offer} = copy;
    const headers = {...offerHeaders(offer), 'content-length': String(offer.bytes - start)};
    if (start >= offer.bytes)
      return void response.writeHead(416, {'content-range': `bytes */${offer.bytes}`}).end();
    if (start > 0)
      response.writeHead(206, {
        ...headers,
        'content-range': `bytes ${start}-${offer.bytes - 1}/${offer.bytes}`,
      });
    else response.writeHead(200, headers);
    if (request.method === 'HEAD') return void response.end();
    const to = peerAddress(request.socket);
    const release = copy.hold();
    active.add(response);
    response.setTimeout(STALLED_MS, () => response.destroy());
    log.info({to, start, bytes: offer.bytes, watermark: offer.watermark}, 'handing out the replica');
    try {
      await pipeline(createReadStream(copy.path, {start, highWaterMark: CHUNK_BYTES}), response);
      log.info({to, watermark: offer.watermark}, 'handed out the replica');
    } catch (error) {
      log.warn({to, code: (error as {code?: string}).code}, 'handing out the replica was interrupted');
    } finally {
      active.delete(response);
      release();
    }
  };

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return void response.writeHead(405, {allow: 'GET, HEAD'}).end();
    if (!carriesSecret(request, secret)) return void response.writeHead(401).end();
    const asked = /^bytes=(\d{1,15})-$/.exec(request.headers.range ?? '')?.[1];
    const tag = String(request.headers['if-range'] ?? '');
    const broken = asked !== undefined ? copies.byTag(tag) : null;
    const copy = broken ?? (await copies.current(request.headers['cache-control'] === 'no-cache'));
    if ('reason' in copy) return refuse(response, copy);
    if (active.size >= maxDownloads)
      return refuse(response, {
        reason: 'busy',
        message: `${active.size} other nodes are fetching the replica.`,
      });
    // A range of another file than the one at hand is answered with the whole one.
    const start = asked !== undefined && tag === etagOf(copy.offer) ? Number(asked) : 0;
    await send(request, response, copy, start);
  };

  return {
    handle: (request, response) =>
      answer(request, response).catch(error => {
        log.error({err: error as Error}, 'a request for the replica failed');
        if (response.headersSent) response.destroy();
        else response.writeHead(500).end();
      }),
    get isCopying() {
      return copies.isMaking;
    },
    forget: () => copies.forget(),
    close: () => {
      copies.close();
      for (const response of active) response.destroy();
    },
  };
};

const RETRY_AFTER_SECONDS = 1;

const refuse = (response: ServerResponse, refusal: SnapshotRefusal): void => {
  response.writeHead(refusal.reason === 'no-room' ? 507 : 503, {
    'content-type': 'application/json',
    'retry-after': String(RETRY_AFTER_SECONDS),
  });
  response.end(JSON.stringify(refusal));
};
