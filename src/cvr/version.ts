import {lexi, unlexi, VERSION_ZERO, type Version} from '../pg/lsn.ts';
import {protocolError} from '../protocol/error-body.ts';

/** What a client group holds: replica data at `state`, and `config` changes of queries and desires since (views.md §1.1). */
export interface CvrVersion {
  readonly state: Version;
  readonly config: number;
}

export const EMPTY: CvrVersion = {state: VERSION_ZERO, config: 0};

export const isEmpty = ({state, config}: CvrVersion): boolean => state === VERSION_ZERO && config === 0;

/** The cookie: `state` or `state:config`. */
export const formatVersion = ({state, config}: CvrVersion): string =>
  config ? `${state}:${lexi(config)}` : state;

/**
 * Accepts exactly the texts that `formatVersion` gives, so that a parsed cookie goes back to the client unchanged.
 * @throws ProtocolError `ClientNotFound` for a cookie that no server of this kind has issued.
 */
export const parseCookie = (cookie: string): CvrVersion => {
  const [state = '', config] = cookie.split(':', 2);
  try {
    for (const part of state.split('.', 2)) unlexi(part);
    const version = {state, config: config === undefined ? 0 : Number(unlexi(config))};
    if (formatVersion(version) !== cookie) throw new RangeError('not in canonical form');
    return version;
  } catch (error) {
    throw protocolError('ClientNotFound', 'The cookie is not one of this server.', {cause: error});
  }
};

export const compareVersions = (a: CvrVersion, b: CvrVersion): number =>
  a.state === b.state ? a.config - b.config : a.state < b.state ? -1 : 1;

/**
 * The version of a change made while the replica stands at `replica`: its data version if that is newer, else one more. Clients
 * and catch-ups compare texts, and `X.01`, which is written beside the stream, comes before `X:01` (views.md §1.1): after that
 * it is one more as well.
 */
export const nextVersion = (current: CvrVersion, replica: Version): CvrVersion =>
  replica > formatVersion(current)
    ? {state: replica, config: 0}
    : {state: current.state, config: current.config + 1};
