import {createServer} from 'node:net';

/** The code of the error with which a server could not listen on this port of the loopback address; null if it could. */
export const listenFault = (port: number): Promise<string | null> =>
  new Promise(resolve => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    probe.listen({port, host: '127.0.0.1'}, () => probe.close(() => resolve(null)));
  });

export const isFree = async (port: number): Promise<boolean> => (await listenFault(port)) === null;

/** The first free port from `first` up to, not including, `end`; null if there is none. */
export const nextFreePort = async (first: number, end: number): Promise<number | null> => {
  for (let port = first; port < Math.min(end, 65_536); port++) if (await isFree(port)) return port;
  return null;
};
