import {once} from 'node:events';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {expect, test} from 'vitest';
import WebSocket, {WebSocketServer} from 'ws';
import {wireFrames} from '../../src/sync/wire-frames.ts';
import {until} from '../helpers/until.ts';

/** What a client gets whose socket is sent these bytes. */
const received = async (wire: Buffer, count: number): Promise<string[]> => {
  const server = createServer().listen(0, '127.0.0.1');
  const sockets = new WebSocketServer({noServer: true});
  server.on('upgrade', (request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, () => socket.write(wire)),
  );
  await once(server, 'listening');
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const messages: string[] = [];
  client.on('message', (data, isBinary) => messages.push(isBinary ? 'binary' : data.toString()));
  try {
    await until(() => messages.length >= count, 'all messages have come');
    return messages;
  } finally {
    client.terminate();
    server.close();
  }
};

test('messages up to a limit reach a client as they were, in order', async () => {
  const texts = ['', 'a', 'ü😀', 'x'.repeat(125), 'y'.repeat(126), 'z'.repeat(40_000)];
  const messages = texts.map(text => Buffer.from(text));
  const wire = wireFrames(messages)!;
  expect(await received(wire, texts.length)).toEqual(texts);
  expect(wireFrames(messages), 'made once').toBe(wire);
  expect(wireFrames([Buffer.alloc(70_000)]), 'not copied').toBeNull();
});
