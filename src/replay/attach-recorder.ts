import {type ClientRequest, request as httpRequest, type IncomingMessage} from 'node:http';
import {request as httpsRequest} from 'node:https';
import type {Socket} from 'node:net';
import {passwordRefused} from '../auth/admin-password.ts';
import {ServerRefused} from '../errors.ts';
import {RECORD_PROTOCOL, type RecordRequest, recordPath} from './record-protocol.ts';

export interface RecordedServer {
  /** `http://host:port` of a zerostream. */
  readonly url: string;
  readonly password: string | undefined;
}

/** Asks a running server for a recording, which comes as lines. @throws ServerRefused if there is no such server, or it wants a password. */
export const attachRecorder = ({url, password}: RecordedServer, wanted: RecordRequest): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const refused = (why: string, cause?: unknown) =>
      reject(new ServerRefused(`Cannot record the server at ${url}: ${why}`, {cause}));
    let request: ClientRequest;
    try {
      const target = new URL(recordPath(wanted), url);
      request = (target.protocol === 'https:' ? httpsRequest : httpRequest)(target, {
        headers: {
          Connection: 'Upgrade',
          Upgrade: RECORD_PROTOCOL,
          ...(password
            ? {Authorization: `Basic ${Buffer.from(`admin:${password}`).toString('base64')}`}
            : {}),
        },
      });
    } catch (error) {
      return refused('that is no http:// or https:// address.', error);
    }
    request.on('upgrade', (_: IncomingMessage, socket: Socket, first: Buffer) => {
      socket.on('error', () => socket.destroy());
      if (first.length) socket.unshift(first);
      resolve(socket);
    });
    request.on('response', ({statusCode}) =>
      refused(
        statusCode === 401
          ? passwordRefused(Boolean(password))
          : `it answered ${statusCode}; is it a zerostream that is ready?`,
      ),
    );
    request.on('error', (error: NodeJS.ErrnoException) =>
      refused(`nothing answers there (${error.code ?? error.message}).`, error),
    );
    request.end();
  });
