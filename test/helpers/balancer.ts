import {createConnection, createServer, type Socket} from 'node:net';

export interface Balancer {
  readonly url: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A TCP balancer before several servers: each connection goes to the next one that says it is healthy. */
export const startBalancer = async (urls: readonly string[]): Promise<Balancer> => {
  const sockets = new Set<Socket>();
  let turn = 0;
  const healthy = async (): Promise<URL | null> => {
    for (let i = 0; i < urls.length; i++) {
      const url = urls[turn++ % urls.length]!;
      const ok = await fetch(`${url}/keepalive`).then(
        response => response.ok,
        () => false,
      );
      if (ok) return new URL(url);
    }
    return null;
  };
  const server = createServer({pauseOnConnect: true}, async near => {
    sockets.add(near);
    near.on('error', () => near.destroy()).on('close', () => sockets.delete(near));
    const target = await healthy();
    if (!target) return void near.destroy();
    const far = createConnection({host: target.hostname, port: Number(target.port)});
    far.on('error', () => near.destroy()).on('close', () => near.destroy());
    near.on('close', () => far.destroy());
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as {port: number}).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise(resolve => server.close(resolve));
    },
  };
};
