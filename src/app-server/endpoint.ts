import {URLPattern} from 'urlpattern-polyfill';
import type {AppEndpoint} from '../config/config.ts';

/** A client asked for an address that the configuration does not allow, or the address cannot be used. */
export class AddressRefused extends Error {}

/** An endpoint of the app with its options read: where requests may go, and what goes with them. */
export interface Endpoint {
  readonly apiKey: string | undefined;
  readonly forwardCookies: boolean;
  /** Lower case. */
  readonly clientHeaders: ReadonlySet<string>;
  readonly requestHeaders: ReadonlySet<string>;
  /** A server that takes longer is as good as down; the client gets its connection back. */
  readonly timeoutMs: number;
  /**
   * The address of a request: the client's own if it matches a configured pattern, else the first configured; with
   * `schema` and `appID` appended (mutations-auth.md §6.2). @throws AddressRefused
   */
  address(wanted: string | undefined): string;
}

/** The parameters that tell the app's server whom it serves. */
const RESERVED = ['schema', 'appID'] as const;

/** null if the app has no such endpoint. */
export const createEndpoint = (
  {url, apiKey, forwardCookies, allowedClientHeaders, allowedRequestHeaders, timeoutMs}: AppEndpoint,
  params: Readonly<Record<(typeof RESERVED)[number], string>>,
): Endpoint | null => {
  const [first] = url ?? [];
  if (!url || first === undefined) return null;
  const patterns = url.map(addressPattern);
  const addresses = new Map<string, string>();
  return {
    apiKey,
    forwardCookies,
    timeoutMs,
    clientHeaders: lowerCase(allowedClientHeaders),
    requestHeaders: lowerCase(allowedRequestHeaders),
    address: wanted => {
      const asked = wanted ?? first;
      let address = addresses.get(asked);
      if (address === undefined) {
        address = addressOf(asked, patterns, params);
        // Clients may add any query string: only the configured address is sure to come again.
        if (asked === first) addresses.set(asked, address);
      }
      return address;
    },
  };
};

/** Query string and fragment play no part. */
const addressPattern = (text: string): URLPattern => {
  const {protocol, hostname, port, pathname} = new URLPattern(text);
  return new URLPattern({protocol, hostname, port, pathname});
};

const lowerCase = (names: readonly string[] | undefined): ReadonlySet<string> =>
  new Set(names?.map(name => name.toLowerCase()));

const addressOf = (
  asked: string,
  patterns: readonly URLPattern[],
  params: Readonly<Record<(typeof RESERVED)[number], string>>,
): string => {
  if (/[*{}()]/.test(asked) || !URL.canParse(asked))
    throw new AddressRefused('The address of the app server is a pattern or no URL: name one that is.');
  const url = new URL(asked);
  const bare = `${url.origin}${url.pathname}`;
  if (!patterns.some(pattern => pattern.test(bare)))
    throw new AddressRefused('The address that the client asks for is not among the configured ones.');
  for (const name of RESERVED) {
    if (url.searchParams.has(name))
      throw new AddressRefused(`The address of the app server must not have a parameter "${name}".`);
    url.searchParams.append(name, params[name]);
  }
  return url.href;
};
