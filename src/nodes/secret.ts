import {createHash, timingSafeEqual} from 'node:crypto';
import type {IncomingMessage} from 'node:http';

/** What a node sends with each request to another, HTTP or WebSocket; nothing where no secret is configured. */
export const secretHeaders = (secret: string | undefined): Readonly<Record<string, string>> =>
  secret ? {authorization: `Bearer ${secret}`} : {};

/** Whether a request of another node carries our secret; every request does where none is configured. */
export const carriesSecret = (
  request: Pick<IncomingMessage, 'headers'>,
  secret: string | undefined,
): boolean => {
  if (!secret) return true;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  // Digests have one length, and comparing them takes the same time wherever they differ.
  return timingSafeEqual(digest(request.headers.authorization ?? ''), digest(`Bearer ${secret}`));
};
