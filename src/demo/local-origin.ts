import type {IncomingMessage} from 'node:http';

/**
 * Whether a request comes from a page of this machine, or from no page at all. Development mode lets anyone do anything,
 * and browsers let every site on the web connect to localhost.
 */
export const isLocalOrigin = ({headers: {origin}}: IncomingMessage): boolean => {
  if (origin === undefined) return true;
  try {
    return /^(.+\.)?localhost$|^127\.\d+\.\d+\.\d+$|^\[::1\]$/.test(new URL(origin).hostname);
  } catch {
    return false;
  }
};
