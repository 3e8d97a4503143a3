import type {Socket} from 'node:net';

/** The address of the other end; an IPv4 one as such, also where the port listens for both kinds. */
export const peerAddress = ({remoteAddress}: Socket): string => remoteAddress?.replace(/^::ffff:/, '') ?? '';
