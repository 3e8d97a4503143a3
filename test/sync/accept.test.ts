import {createServer} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import {pino} from 'pino';
import {expect, test} from 'vitest';
import {WebSocket} from 'ws';
import type {Auth} from '../../src/auth/auth.ts';
import {plainRequest} from '../../src/daemon/plain-request.ts';
import {createAcceptor} from '../../src/sync/accept.ts';
import {until} from '../helpers/until.ts';

/** A server whose tokens are verified when `verified` is called; the clients that are connected and have not left. */
const acceptor = async () => {
  const clients = new Set<string>();
  const verifying: ((auth: Auth) => void)[] = [];
  const sockets: Socket[] = [];
  const accept = createAcceptor({
    config: {
      websocketCompression: false,
      websocketCompressionOptions: undefined,
      websocketMaxPayloadBytes: 1024,
    },
    handler: {
      connect: async ({clientID}) => void clients.add(clientID),
      message: async () => {},
      disconnected: ({clientID}) => void clients.delete(clientID),
    },
    verifier: {verify: () => new Promise(resolve => verifying.push(resolve))},
    log: pino({level: 'silent'}),
  });
  const server = createServer();
  server.on('upgrade', (request, socket, head) => {
    sockets.push(socket as Socket);
    accept(plainRequest(request), socket as Socket, head);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    clients,
    verifying,
    sockets,
    connect: (clientID: string): WebSocket => {
      const {port} = server.address() as AddressInfo;
      const params = new URLSearchParams({
        clientID,
        clientGroupID: 'g',
        userID: 'u',
        baseCookie: '',
        ts: '0',
        lmid: '0',
        wsid: clientID,
      });
      const socket = new WebSocket(
        `ws://127.0.0.1:${port}/sync/v51/connect?${params}`,
        encodeURIComponent(Buffer.from('{}').toString('base64')),
      );
      return socket.on('error', () => {});
    },
    [Symbol.dispose]: () => {
      server.close();
      server.closeAllConnections();
      for (const socket of sockets) socket.destroy();
    },
  };
};

test.each(['reset', 'closed'] as const)(
  'a connection that is %s while its token is verified leaves no client behind',
  async how => {
    using server = await acceptor();
    const gone = server.connect('gone');
    await until(() => server.verifying.length === 1, 'its token is being verified');
    await until(() => gone.readyState === gone.OPEN, 'it is open');
    const tcp = (gone as unknown as {readonly _socket: Socket})._socket;
    if (how === 'reset') {
      tcp.resetAndDestroy();
      await until(() => server.sockets[0]!.destroyed, 'the server knows of it');
    } else gone.terminate();
    server.connect('staying');
    await until(() => server.verifying.length === 2, 'another token is being verified');
    for (const verified of server.verifying) verified({kind: 'none'});
    await until(() => server.clients.has('staying'), 'the other one is served');
    await until(() => !server.clients.has('gone'), 'it is not served');
    expect([...server.clients]).toEqual(['staying']);
  },
);
