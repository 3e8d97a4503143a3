import {createServer} from 'node:net';

/** Whether a server could listen on this port of the loopback address. */
export const isFree = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({port, host: '127.0.0.1'}, () => probe.close(() => resolve(true)));
  });

/** The first free port from `first` up to, not including, `end`; null if there is none. */
export const nextFreePort = async (first: number, end: number): Promise<number | null> => {
  for (let port = first; port < Math.min(end, 65_536); port++) if (await isFree(port)) return port;
  return null;
};
