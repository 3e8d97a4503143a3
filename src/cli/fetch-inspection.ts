import {passwordRefused} from '../auth/admin-password.ts';
import {isUrl} from '../config/urls.ts';
import type {DaemonInspection} from '../observe/inspection.ts';

/** A running server. */
export interface Target {
  readonly url: string;
  readonly password?: string;
}

const TIMEOUT_MS = 10_000;

/** Asks a server what it does. @throws Error with what is wrong and what to do about it. */
export const fetchInspection = async ({url, password}: Target): Promise<DaemonInspection> => {
  if (!isUrl(url, /^https?:$/))
    throw new Error('--url must be an http:// or https:// address, such as http://localhost:4848.');
  const secret = password ?? process.env['ZERO_ADMIN_PASSWORD'];
  const headers: Record<string, string> = secret
    ? {Authorization: `Basic ${Buffer.from(`admin:${secret}`).toString('base64')}`}
    : {};
  let response: Response;
  try {
    response = await fetch(new URL('/pipelines', url), {headers, signal: AbortSignal.timeout(TIMEOUT_MS)});
  } catch (error) {
    const {cause, message} = error as {cause?: {code?: string}; message: string};
    throw new Error(
      `no server answers at ${url} (${cause?.code ?? message}). Start one with zerostream, or give --url.`,
      {cause: error},
    );
  }
  if (response.status === 401)
    throw new Error(`the server at ${url} refuses: ${passwordRefused(Boolean(secret))}`);
  if (!response.ok) throw new Error(`the server at ${url} answered ${response.status}; is it a zerostream?`);
  return (await response.json()) as DaemonInspection;
};
