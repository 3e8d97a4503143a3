import {existsSync} from 'node:fs';
import {connect, type Socket} from 'node:net';
import {expect, onTestFinished, test} from 'vitest';
import {receiveVersions, VersionSender} from '../../src/daemon/version-channel.ts';
import type {VersionReady} from '../../src/sync/types.ts';
import {until} from '../helpers/until.ts';

const ready = (version: string, upstreamCommitTimeMs: number | null = 5): VersionReady => ({
  version,
  upstreamCommitTimeMs,
  readyTimeMs: 7,
});

const opened = async (): Promise<VersionSender> => {
  const sender = await VersionSender.open();
  if (!sender) throw new Error('no socket could be opened');
  onTestFinished(() => sender.close());
  return sender;
};

const receiving = (path: string): VersionReady[] => {
  const heard: VersionReady[] = [];
  onTestFinished(receiveVersions(path, version => heard.push(version)));
  return heard;
};

test('whoever connects is told the newest version, then each', async () => {
  const sender = await opened();
  sender.send(ready('1a'));
  sender.send(ready('1b', null));
  const [early, other] = [receiving(sender.path), receiving(sender.path)];
  await until(() => early.length === 1 && other.length === 1, 'both have heard');
  for (let n = 0; n < 300; n++) sender.send(ready(`2${n}`));
  await until(() => early.length === 301 && other.length === 301, 'both have heard of all');
  expect(early).toEqual([ready('1b', null), ...Array.from({length: 300}, (_, n) => ready(`2${n}`))]);
  expect(other).toEqual(early);
});

test('a reader that lags behind hears of the newest version, however many there were', async () => {
  const sender = await opened();
  const slow: Socket = connect(sender.path);
  onTestFinished(() => void slow.destroy());
  const probe = receiving(sender.path);
  sender.send(ready('0'));
  await until(() => probe.length === 1, 'the sender has connections');
  slow.pause();
  const count = 200_000;
  for (let n = 1; n <= count; n++) sender.send(ready(String(n)));
  let text = '';
  slow.on('data', chunk => (text += chunk));
  slow.resume();
  await until(() => text.endsWith(`\n${count} 5 7\n`), 'the last version has come');
  expect(text.split('\n').length).toBeLessThan(count / 2);
});

test('a connection that breaks is opened again; after a replica is given up it is not', async () => {
  const sender = await opened();
  const heard = receiving(sender.path);
  sender.send(ready('1'));
  await until(() => heard.length === 1, 'the first version');
  sender.disconnect();
  sender.send(ready('2'));
  await until(() => heard.length === 2, 'the second version');
  sender.forget();
  await until(() => sender.connections === 0, 'the connection is closed');
  const next = receiving(sender.path);
  sender.send(ready('3'));
  await until(() => next.length === 1, 'a new reader hears of the next replica');
  expect(heard.map(({version}) => version)).toEqual(['1', '2']);
  expect(next).toEqual([ready('3')]);
});

test('leaves no file behind', async () => {
  const sender = await opened();
  expect(existsSync(sender.path)).toBe(true);
  sender.close();
  expect(existsSync(sender.path)).toBe(false);
});
