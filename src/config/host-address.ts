import {isIPv6} from 'node:net';
import type {NetworkInterfaceInfo} from 'node:os';

type Interfaces = NodeJS.Dict<readonly NetworkInterfaceInfo[]>;

/**
 * The address under which other nodes can best reach this host, out of `os.networkInterfaces()`; IPv6 in brackets, ready
 * for a URL. Addresses that are reserved or private to a link come last; then count, in this order: not the
 * loopback, IPv4, the rank of the interface's name among `preferences` (beginnings of names), the alphabet
 * (config-ops.md §1.8). Undefined without any interface.
 */
export const hostAddress = (interfaces: Interfaces, preferences: readonly string[]): string | undefined => {
  const preference = (name: string): number => {
    const rank = preferences.findIndex(beginning => name.startsWith(beginning));
    return rank < 0 ? preferences.length : rank;
  };
  const ranked = Object.entries(interfaces)
    .flatMap(([name, infos]) => (infos ?? []).map(({address, internal}) => ({name, address, internal})))
    .map(({name, address, internal}) => ({
      address,
      rank: [Number(isUnreachable(address)), Number(internal), Number(isIPv6(address)), preference(name)],
      name,
    }))
    .sort(
      (a, b) => compare(a.rank, b.rank) || (`${a.name} ${a.address}` < `${b.name} ${b.address}` ? -1 : 1),
    );
  const best = ranked[0]?.address;
  return best !== undefined && isIPv6(best) ? `[${best}]` : best;
};

/** Link-local and unspecified addresses, 192.0.0.0/24 (RFC 6890), and IPv6 unique local ones (RFC 4193). */
const isUnreachable = (address: string): boolean =>
  /^(0\.|169\.254\.|192\.0\.0\.|::$|fe[89ab]|f[cd])/i.test(address);

const compare = (a: readonly number[], b: readonly number[]): number => {
  for (const [index, value] of a.entries()) {
    const difference = value - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
};
