import {createServer, type Server} from 'node:http';
import {nextFreePort} from '../demo/free-port.ts';
import {renderHtml} from '../observe/render-html.ts';
import {fetchInspection, type Target} from './fetch-inspection.ts';

const DEFAULT_PORT = 4850;
/** So many ports from the default one on are tried: several servers may be looked at at the same time. */
const PORTS = 20;

/**
 * Serves the live page on 127.0.0.1 until a signal comes; the password stays here.
 * @param port null: the first free one from 4850 on. @returns the exit code.
 */
export const serveInspector = async (target: Target, port: number | null): Promise<number> => {
  // A wrong address or password is said now and not in the page.
  let last = await fetchInspection(target);
  const server = createServer((request, response) => {
    const answer = async (): Promise<[type: string, body: string]> => {
      const before = last;
      last = await fetchInspection(target);
      return request.url === '/data'
        ? ['application/json', JSON.stringify(last)]
        : ['text/html; charset=utf-8', renderHtml({before, now: last, live: true})];
    };
    if (request.url !== '/' && request.url !== '/data') {
      response.writeHead(404).end('not found');
      return;
    }
    answer().then(
      ([type, body]) => response.writeHead(200, {'Content-Type': type}).end(body),
      (error: Error) => response.writeHead(502, {'Content-Type': 'text/plain'}).end(error.message),
    );
  });
  await listen(server, port);
  const address = server.address();
  process.stdout.write(
    `The pipeline of ${target.url}: http://127.0.0.1:${typeof address === 'object' ? address?.port : address}/ · Ctrl-C ends\n`,
  );
  await new Promise<void>(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  server.close();
  server.closeAllConnections();
  return 0;
};

const listen = async (server: Server, wanted: number | null): Promise<void> => {
  const port = wanted ?? (await nextFreePort(DEFAULT_PORT, DEFAULT_PORT + PORTS)) ?? DEFAULT_PORT;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(`port ${port} is in use; choose another: --serve ${port + 1}`)
          : error,
      ),
    );
    server.listen(port, '127.0.0.1', resolve);
  });
};
