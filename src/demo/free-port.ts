import {createServer} from 'node:net';

/** Whether a server could listen on this port of the loopback address. */
export const isFree = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({port, host: '127.0.0.1'}, () => probe.close(() => resolve(true)));
  });

/** The first free port from `first` on; null if twenty in a row are taken. */
export const nextFreePort = async (first: number): Promise<number | null> => {
  for (let port = first; port < Math.min(first + 20, 65_536); port++) if (await isFree(port)) return port;
  return null;
};
