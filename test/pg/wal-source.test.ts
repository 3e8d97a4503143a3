import type {Socket} from 'node:net';
import {expect, test} from 'vitest';
import {connect} from '../../src/pg/connect.ts';
import {type WalControl, walSource} from '../../src/pg/wal-source.ts';
import {PgoutputDecoder} from '../../src/pgoutput/decode.ts';
import type {WalMessage} from '../../src/pgoutput/messages.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {startProxy} from '../helpers/tcp-proxy.ts';
import {until} from '../helpers/until.ts';

const PIECE_BYTES = 700;
/** Below the mark from which on a paused socket of any Node stops reading. */
const BUFFERED_BYTES = 12 * 1024;

const text = (message: WalMessage): string =>
  message.tag === 'message'
    ? String(message.content)
    : message.tag === 'change' && message.change.tag === 'insert'
      ? String(message.change.new[1])
      : message.tag;

// Resumed, a socket gives all that it has read meanwhile in one turn, and pg's parser joins packets that came in pieces in
// one place of memory.
test('frames stay what they are although several reads wait in a paused socket', async () => {
  await using db = await createDatabase(
    'CREATE TABLE t (id serial PRIMARY KEY, v text); CREATE PUBLICATION p FOR TABLE t',
  );
  await using proxy = await startProxy(db.url, {pieceBytes: PIECE_BYTES});
  const session = await connect(proxy.url, {purpose: 'replication', replication: true});
  await session.query(`CREATE_REPLICATION_SLOT "${db.appID}" TEMPORARY LOGICAL pgoutput`);
  let control: WalControl | null = null;
  let failure: unknown = null;
  const got: WalMessage[] = [];
  const decoder = new PgoutputDecoder();
  const stream = walSource({
    url: proxy.url,
    slot: db.appID,
    publications: ['p'],
    start: 0n,
    walSenderTimeoutMs: 0,
    inboundTimeoutMs: 0,
    session,
    onOpen: opened => {
      control = opened;
    },
  }).subscribe({
    next: frames => {
      try {
        for (const frame of frames) {
          const message = decoder.decode(frame);
          if (message?.tag === 'message' || message?.tag === 'change') got.push(message);
        }
      } catch (error) {
        failure ??= error;
      }
    },
    error: error => {
      failure ??= error;
    },
  });
  try {
    await until(() => control !== null, 'the stream is open');
    const sent: string[] = [];
    const {stream: socket} = session.connection as unknown as {readonly stream: Socket};
    for (let round = 0; round < 5; round++) {
      control!.pause();
      for (let i = 0; i < 60; i++) {
        const value = `${round}-${i}-`.padEnd(250 + i, 'x');
        await db.query(
          `WITH said AS (SELECT pg_logical_emit_message(true, 'test', 'of ' || $1)) INSERT INTO t (v) SELECT $1 FROM said`,
          [value],
        );
        sent.push(`of ${value}`, value);
      }
      await until(() => socket.readableLength >= BUFFERED_BYTES, 'several pieces wait in the socket');
      control!.resume();
      await until(() => failure !== null || got.length >= sent.length, 'all rows arrive');
      expect(failure).toBeNull();
      // Not before now, as the chain does that reads beside the stream before it goes on.
      expect(got.map(text)).toEqual(sent);
    }
  } finally {
    stream.unsubscribe();
  }
});
