import {once} from 'node:events';
import {existsSync} from 'node:fs';
import {type AddressInfo, connect, createServer, type Socket} from 'node:net';
import {Subject} from 'rxjs';
import {expect, test} from 'vitest';
import type {WalFrames} from '../../src/pg/gather-frames.ts';
import {FrameTap} from '../../src/replay/frame-tap.ts';
import {recordLive} from '../../src/replay/live-recording.ts';
import {openWriter} from '../../src/replica/open.ts';
import {frame} from '../helpers/frames.ts';
import {TestReplica} from '../helpers/test-replica.ts';
import {until} from '../helpers/until.ts';

/** The last one that closes a file takes its WAL away. */
const isOpenElsewhere = (file: string): boolean => {
  openWriter(file).close();
  return existsSync(`${file}-wal`);
};

test('who leaves while the replica has not come as far as the stream is not waited for', async () => {
  using replica = new TestReplica([{name: 't', columns: {id: 'int4'}, key: ['id']}]);
  replica.db.close();
  const frames = new Subject<WalFrames>();
  const tap = new FrameTap();
  frames.pipe(tap.watch()).subscribe();
  frames.next([frame('B', 1n << 40n), frame('C', 1n << 40n)]);

  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const recorder = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  recordLive(socket, tap, replica.file, 0);
  expect(isOpenElsewhere(replica.file)).toBe(true);

  recorder.destroy();
  await until(() => !isOpenElsewhere(replica.file), 'the replica is let go of');
  server.close();
});
