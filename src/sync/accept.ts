import {IncomingMessage} from 'node:http';
import type {Socket} from 'node:net';
import {type PerMessageDeflateOptions, type WebSocket, WebSocketServer} from 'ws';
import type {TokenVerifier} from '../auth/verify.ts';
import type {ZeroConfig} from '../config/config.ts';
import type {Log} from '../observe/log.ts';
import {ProtocolError} from '../protocol/error-body.ts';
import {closeReason} from './close-reason.ts';
import {Connection, toProtocolError} from './connection.ts';
import {type Handshake, HandshakeError, parseHandshake} from './handshake.ts';
import {QuietWatch} from './quiet-watch.ts';
import type {HandedRequest, MessageHandler} from './types.ts';

export interface AcceptorDeps {
  readonly config: Pick<
    ZeroConfig,
    'websocketCompression' | 'websocketCompressionOptions' | 'websocketMaxPayloadBytes'
  >;
  readonly handler: MessageHandler;
  readonly verifier: TokenVerifier;
  readonly log: Log;
}

export type Acceptor = (request: HandedRequest, socket: Socket, head: Buffer) => void;

/**
 * Completes upgrades that may come from another process: the request as plain data, the socket itself, and the bytes
 * already read from it. Whatever is wrong with one request is told to its client alone (protocol.md §1.5, §1.6).
 */
export const createAcceptor = ({config, handler, verifier, log}: AcceptorDeps): Acceptor => {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: config.websocketMaxPayloadBytes,
    perMessageDeflate: config.websocketCompression
      ? compressionOptions(config.websocketCompressionOptions)
      : false,
  });
  const quiet = new QuietWatch();
  return (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    // The answer to the upgrade and `connected` in one system call, unless the user's token takes time.
    socket.cork();
    setImmediate(() => socket.uncork());
    server.handleUpgrade(incoming(request, socket), socket, head, ws => {
      // Messages wait in the socket until the connection listens.
      ws.pause();
      void accept(ws, request, socket).catch(error => {
        log.error({err: error}, 'a connection could not be accepted');
        ws.close(1011, 'internal error');
      });
    });
  };

  async function accept(ws: WebSocket, request: HandedRequest, socket: Socket): Promise<void> {
    let handshake: Handshake;
    try {
      handshake = parseHandshake(request);
    } catch (error) {
      ws.resume();
      if (error instanceof ProtocolError) refuse(ws, error, 1000);
      else if (error instanceof HandshakeError) ws.close(1002, closeReason(error.message));
      else throw error;
      return;
    }
    let connection: Connection;
    try {
      const auth = await verifier.verify(handshake.authToken, handshake.userID);
      // One that broke meanwhile has said so to nobody, and would be served for ever.
      if (ws.readyState !== ws.OPEN) return;
      connection = new Connection(ws, handshake, auth, request.headers, handler, log, socket, quiet);
      await handler.connect(connection);
    } catch (error) {
      ws.resume();
      return refuse(ws, toProtocolError(error, log, handshake.clientID), 3000);
    }
    connection.send(['connected', {wsid: handshake.wsID, timestamp: Date.now()}]);
    connection.start(handshake.initConnection && ['initConnection', handshake.initConnection]);
    ws.resume();
  }
};

const refuse = (ws: WebSocket, error: ProtocolError, code: number): void => {
  ws.send(JSON.stringify(['error', error.body]));
  ws.close(code, closeReason(error.message));
};

/** Enough of an IncomingMessage for ws: it reads method, url, headers and the HTTP version. */
const incoming = (request: HandedRequest, socket: Socket): IncomingMessage => {
  const message = new IncomingMessage(socket);
  message.method = request.method;
  message.url = request.url;
  message.httpVersion = request.httpVersion;
  message.headers = {...request.headers};
  return message;
};

const compressionOptions = (json: string | undefined): PerMessageDeflateOptions =>
  json ? (JSON.parse(json) as PerMessageDeflateOptions) : {};
