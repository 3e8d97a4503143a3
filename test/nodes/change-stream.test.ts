import {once} from 'node:events';
import {rmSync} from 'node:fs';
import {mkdtemp} from 'node:fs/promises';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {firstValueFrom, materialize} from 'rxjs';
import {expect, test} from 'vitest';
import WebSocket, {WebSocketServer} from 'ws';
import {startReplicating} from '../../pipelines/node.ts';
import {parseLogLines} from '../../src/change-log/lines.ts';
import {purgeChangeLog} from '../../src/change-log/purge.ts';
import {changeLogSchema} from '../../src/change-log/schema.ts';
import type {ZeroConfig} from '../../src/config/config.ts';
import {StageBoard} from '../../src/flow/stage.ts';
import {type ChangeSourceOptions, changeSource} from '../../src/nodes/change-source.ts';
import {CHANGES_PATH, type Subscription, subscriptionUrl, WINDOW_BYTES} from '../../src/nodes/wire.ts';
import {silentLog} from '../../src/observe/log.ts';
import {openReader} from '../../src/replica/open.ts';
import {readReplicaState} from '../../src/replica/sync-context.ts';
import type {ReplicatorEvent} from '../../src/replication/events.ts';
import {testConfig} from '../helpers/config.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {startProxy} from '../helpers/tcp-proxy.ts';
import {until} from '../helpers/until.ts';

const T = 'CREATE TABLE t (id serial PRIMARY KEY, v text)';

/** A replication-manager in this process. */
const manager = async (db: TestDatabase, changeStreamer: Partial<ZeroConfig['changeStreamer']> = {}) => {
  const dir = await mkdtemp(join(tmpdir(), 'zs-manager-'));
  const base = testConfig(db, dir, {numSyncWorkers: 0, taskID: 'manager'});
  const config = {...base, changeStreamer: {...base.changeStreamer, ...changeStreamer}};
  const events: ReplicatorEvent[] = [];
  const errors: unknown[] = [];
  const running = await startReplicating({
    config,
    log: silentLog,
    board: new StageBoard(),
    onEvent: event => events.push(event),
    onError: error => errors.push(error),
  });
  await until(() => errors.length > 0 || events.some(({type}) => type === 'version-ready'), 'it streams');
  expect(errors).toEqual([]);
  const reader = openReader(config.replica.file);
  const {replicaVersion, stateVersion} = readReplicaState(reader);
  reader.close();
  return {
    config,
    uri: `ws://127.0.0.1:${running.nodePort}`,
    /** What a subscriber says that holds the replica as it was at the start. */
    subscription: {taskID: 'test', replicaVersion, watermark: stateVersion},
    subscribers: async () => (await running.inspect()).subscribers,
    async [Symbol.asyncDispose]() {
      running.stop();
      await until(
        async () =>
          (
            await db.query(
              'SELECT 1 FROM pg_replication_slots WHERE database = current_database() AND active',
            )
          ).rowCount === 0,
        'the slot is free',
      );
      rmSync(dir, {recursive: true, force: true});
    },
  };
};

/** The wire by hand: a subscriber that consumes when it is told to. */
const subscriber = (url: string, headers: Record<string, string> = {}) => {
  const ws = new WebSocket(url, {headers});
  const frames: Buffer[] = [];
  const said: {type: string; error?: string}[] = [];
  let ended: string | null = null;
  ws.on('message', (data: Buffer, binary) =>
    binary ? frames.push(data) : said.push(JSON.parse(String(data)) as {type: string}),
  );
  ws.on('unexpected-response', (_, response) => {
    ended = `${response.statusCode}`;
    ws.terminate();
  });
  ws.on('error', () => {});
  ws.on('close', code => (ended ??= `${code}`));
  const bytes = () => frames.reduce((sum, frame) => sum + frame.length, 0);
  return {
    said,
    bytes,
    entries: () => frames.flatMap(frame => parseLogLines(frame)),
    consume: (watermark: string) => {
      if (ws.readyState === ws.OPEN) ws.send(JSON.stringify({type: 'consumed', bytes: bytes(), watermark}));
    },
    ended: () => ended,
    [Symbol.dispose]: () => ws.terminate(),
  };
};

const write = (db: TestDatabase, rows: number, bytes = 1) =>
  db.query(`INSERT INTO t (v) SELECT repeat('x', ${bytes}) FROM generate_series(1, ${rows})`);

const inserted = (entries: readonly {readonly change: string}[]): number[] =>
  entries.flatMap(({change}) => {
    const {
      tag,
      relation,
      new: row,
    } = JSON.parse(change) as {
      tag: string;
      relation?: {name: string};
      new?: {id: number};
    };
    return tag === 'insert' && relation?.name === 't' ? [row!.id] : [];
  });

test('who joins late or falls behind gets every change once and in order, from the log and from memory', async () => {
  await using db = await createDatabase(T);
  await using node = await manager(db);
  for (let n = 0; n < 5; n++) await write(db, 3);
  using late = subscriber(subscriptionUrl(node.uri, node.subscription));
  for (let n = 0; n < 5; n++) await write(db, 3);
  await until(() => inserted(late.entries()).length >= 30, 'it has all');
  const ids = Array.from({length: 30}, (_, i) => i + 1);
  expect(inserted(late.entries())).toEqual(ids);
  expect(late.said.map(({type}) => type)).toEqual(['status']);
  // From the middle of what the other has got.
  const watermark = late.entries().find(entry => entry.precommit !== null)!.watermark;
  using other = subscriber(subscriptionUrl(node.uri, {...node.subscription, watermark}));
  await write(db, 1);
  await until(() => inserted(other.entries()).length >= 28, 'it has the rest');
  expect(inserted(other.entries())).toEqual([...ids.slice(3), 31]);
  expect((await node.subscribers()).map(({taskID, live}) => ({taskID, live}))).toContainEqual({
    taskID: 'test',
    live: true,
  });
});

test('what is on the way to a subscriber is bounded, and one that takes nothing is cut off and comes back', async () => {
  await using db = await createDatabase(T);
  await using node = await manager(db, {flowControlSlowSubscriberGracePeriodSeconds: 0.8});
  using slow = subscriber(subscriptionUrl(node.uri, node.subscription));
  await until(() => slow.said.length === 1, 'it is greeted');
  for (let n = 0; n < 20; n++) await write(db, 10, 100_000);
  await until(() => slow.ended() !== null, 'it is cut off');
  expect(slow.said.at(-1)).toMatchObject({type: 'error', error: 'StreamTooFarBehind'});
  expect(slow.bytes()).toBeGreaterThanOrEqual(WINDOW_BYTES);
  expect(slow.bytes()).toBeLessThan(WINDOW_BYTES + 6_000_000);
  // It had taken nothing: it begins where it was, and consumes this time.
  using again = subscriber(subscriptionUrl(node.uri, node.subscription));
  await until(() => {
    again.consume(again.entries().findLast(entry => entry.precommit !== null)?.watermark ?? '00');
    return inserted(again.entries()).length >= 200;
  }, 'it has all');
  expect(inserted(again.entries())).toEqual(Array.from({length: 200}, (_, i) => i + 1));
});

test('the log is kept for subscribers, and who comes too late or with another replica is told so', async () => {
  await using db = await createDatabase(T);
  await using node = await manager(db);
  for (let n = 0; n < 3; n++) await write(db, 1);
  const cdc = changeLogSchema(`${db.appID}_0`);
  await until(
    async () =>
      (await db.query(`SELECT 1 FROM ${cdc}."changeLog" WHERE change->'relation'->>'name' = 't'`))
        .rowCount === 3,
    'all is in the log',
  );
  await purgeChangeLog(db.pool, `${db.appID}_0`, 'manager', 'zzz');
  const {uri} = node;
  expect(await outcome({...node.subscription, uri})).toMatchObject({kind: 'E', error: {code: 'R012'}});
  expect(await outcome({...node.subscription, uri, replicaVersion: '1234'})).toMatchObject({
    kind: 'E',
    error: {code: 'R031'},
  });
});

test('only who knows the secret is let in, and other versions of the protocol are refused', async () => {
  await using db = await createDatabase(T);
  await using node = await manager(db, {secret: 'open sesame'});
  const url = subscriptionUrl(node.uri, node.subscription);
  const authorization = 'Bearer open sesame';
  using stranger = subscriber(url);
  using wrong = subscriber(url, {authorization: 'Bearer open sesam'});
  using newer = subscriber(url.replace(CHANGES_PATH, '/replication/v2/changes'), {authorization});
  using friend = subscriber(url, {authorization});
  await until(() => friend.said.length === 1, 'the friend is greeted');
  await until(() => [stranger, wrong, newer].every(({ended}) => ended() !== null), 'the others are not');
  expect([stranger.ended(), wrong.ended(), newer.ended()]).toEqual(['401', '401', '400']);
  const refused = outcome({...node.subscription, uri: node.uri, secret: 'another'});
  expect(await refused).toMatchObject({kind: 'E', error: {code: 'R022'}});
});

test('a connection that carries nothing more is given up', async () => {
  await using db = await createDatabase(T);
  await using node = await manager(db);
  await using network = await startProxy(node.uri);
  let greeted = false;
  const ended = outcome({
    ...node.subscription,
    uri: network.url,
    pingMs: 100,
    onStatus: () => {
      greeted = true;
      network.stall();
    },
  });
  expect(await ended).toMatchObject({kind: 'E', error: {code: 'R030'}});
  expect(greeted).toBe(true);
});

test('what is no message of ours ends the connection, and not the process', async () => {
  const server = new WebSocketServer({port: 0, host: '127.0.0.1'});
  await once(server, 'listening');
  server.on('connection', ws => ws.send('<html>'));
  const uri = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const subscription = {taskID: 't', replicaVersion: '00', watermark: '00'};
  expect(await outcome({...subscription, uri})).toMatchObject({kind: 'E', error: {code: 'R030'}});
  server.close();
});

/** How a stream of changes ends that brings none. */
const outcome = (source: Subscription & {uri: string} & Partial<ChangeSourceOptions>) =>
  firstValueFrom(
    materialize<Buffer>()(
      changeSource({secret: undefined, pingMs: 1000, onOpen: () => {}, onStatus: () => {}, ...source}),
    ),
  );
