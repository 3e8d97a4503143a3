import {createHash} from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import {createServer} from 'node:http';
import {tmpdir} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {pino} from 'pino';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {NodeRefused} from '../../src/errors.ts';
import {type FetchOptions, fetchReplica} from '../../src/nodes/fetch-snapshot.ts';
import {offerHeaders, SNAPSHOT_PATH} from '../../src/nodes/snapshot-offer.ts';
import {openReader} from '../../src/replica/open.ts';
import {snapshotNode, versionOf} from '../helpers/snapshot-node.ts';
import {startProxy} from '../helpers/tcp-proxy.ts';
import {TestReplica} from '../helpers/test-replica.ts';
import {until} from '../helpers/until.ts';

let replica: TestReplica;
let dir: string;
let file: string;
let logged: string[];
beforeEach(() => {
  replica = filled();
  dir = mkdtempSync(join(tmpdir(), 'zs-fetch-'));
  file = join(dir, 'replica.db');
  logged = [];
});
afterEach(() => {
  replica[Symbol.dispose]();
  rmSync(dir, {recursive: true, force: true});
});

/** Each row has 25 KB. */
const filled = (rows = 100) => {
  const made = new TestReplica([{name: 'issue', columns: {id: 'text', title: 'text'}, key: ['id']}]);
  // A replica names the slot that it continues from.
  made.db
    .prepare(`UPDATE "_zero.replicationConfig" SET initialSyncContext = ?`)
    .run('{"slot":"s","replicaID":"r"}');
  made.transact(
    Array.from({length: rows}, (_, i) => ({
      op: 'set' as const,
      table: 'issue',
      row: {id: `i${i}`, title: createHash('sha256').update(`${i}`).digest('hex').repeat(400)},
    })),
  );
  return made;
};

const fetchTo = (uri: string, options: Partial<FetchOptions> = {}) =>
  fetchReplica({
    uri,
    file,
    log: pino({level: 'info'}, {write: line => logged.push((JSON.parse(line) as {msg: string}).msg)}),
    signal: new AbortController().signal,
    ...options,
  });

const titles = (path: string) => {
  const db = openReader(path);
  try {
    return db.prepare('SELECT * FROM issue ORDER BY id').all();
  } finally {
    db.close();
  }
};

test('a fetched replica holds what the other held, and its version', async () => {
  await using node = await snapshotNode(replica.file);
  writeFileSync(`${file}-wal`, 'of another file');
  const phases: string[] = [];
  const fetched = await fetchTo(node.uri, {onProgress: ({phase}) => phases.push(phase)});
  expect(fetched).toEqual({replicaVersion: expect.any(String), watermark: replica.version});
  expect(titles(file)).toEqual(titles(replica.file));
  expect(versionOf(file)).toBe(replica.version);
  expect([...new Set(phases)]).toEqual(['wait', 'download', 'check', 'done']);
  expect(readdirSync(dir).filter(name => !name.endsWith('-shm') && !name.endsWith('-wal'))).toEqual([
    'replica.db',
  ]);
});

test('a broken download goes on where it ended, on the same copy, although the replica has moved on', async () => {
  // More than the buffers of a connection hold.
  using large = filled(800);
  await using node = await snapshotNode(large.file);
  await using proxy = await startProxy(node.uri.replace('ws:', 'http:'));
  const before = titles(large.file);
  const watermark = large.version;
  let cuts = 0;
  const fetched = await fetchTo(proxy.url, {
    onProgress: ({phase, bytes, totalBytes}) => {
      // Early, since what is on its way still arrives.
      if (phase !== 'download' || cuts >= 2 || bytes < (totalBytes * (cuts + 1)) / 8) return;
      cuts++;
      large.transact([{op: 'delete', table: 'issue', key: {id: `i${cuts}`}}]);
      proxy.cut();
    },
  });
  expect(cuts).toBe(2);
  const [first, ...others] = node.starts;
  expect(first).toBe(0);
  expect(others.length).toBeGreaterThan(0);
  for (const [i, start] of others.entries()) expect(start).toBeGreaterThan(node.starts[i]!);
  expect(fetched.watermark).toBe(watermark);
  expect(titles(file)).toEqual(before);
});

test('a download that its node did not finish goes on after a restart of the node', async () => {
  await using node = await snapshotNode(replica.file);
  const stop = new AbortController();
  await expect(
    fetchTo(node.uri, {
      signal: stop.signal,
      onProgress: ({bytes, totalBytes}) => bytes > totalBytes / 2 && stop.abort(new Error('stopped')),
    }),
  ).rejects.toThrow('stopped');
  expect(existsSync(file)).toBe(false);
  const size = statSync(`${file}.download`).size;
  expect(size).toBeGreaterThan(0);
  let start: number | null = null;
  await fetchTo(node.uri, {
    onProgress: ({phase, bytes}) => {
      if (phase === 'download') start ??= bytes;
    },
  });
  expect(start).toBe(size);
  expect(titles(file)).toEqual(titles(replica.file));
});

test('a part of a copy that is gone is not continued: the new copy is fetched whole', async () => {
  await using first = await snapshotNode(replica.file);
  const stop = new AbortController();
  await expect(
    fetchTo(first.uri, {
      signal: stop.signal,
      onProgress: ({bytes, totalBytes}) => bytes > totalBytes / 2 && stop.abort(new Error('stopped')),
    }),
  ).rejects.toThrow('stopped');
  replica.transact([{op: 'set', table: 'issue', row: {id: 'i1', title: 'newer'}}]);
  await using second = await snapshotNode(replica.file);
  const fetched = await fetchTo(second.uri);
  expect(fetched.watermark).toBe(replica.version);
  expect(titles(file)).toEqual(titles(replica.file));
});

test('a flipped byte on the way is found by the digest; the replica is fetched again', async () => {
  await using node = await snapshotNode(replica.file);
  let flips = 0;
  // A machine in between that changes one byte of the first download.
  const between = createServer((request, response) => {
    void fetch(`${node.uri.replace('ws:', 'http:')}${request.url}`).then(async answer => {
      const body = Buffer.from(await answer.arrayBuffer());
      if (answer.status === 200 && flips++ === 0) body[body.length >> 1]! ^= 1;
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(body);
    });
  });
  await new Promise<void>(resolve => between.listen(0, '127.0.0.1', resolve));
  try {
    await fetchTo(`http://127.0.0.1:${(between.address() as {port: number}).port}`);
  } finally {
    between.closeAllConnections();
    between.close();
  }
  expect(flips).toBe(2);
  expect(logged.filter(line => line.includes('another digest')).length).toBe(1);
  expect(titles(file)).toEqual(titles(replica.file));
});

test('a file that is no replica of the offered version never gets the name', async () => {
  const body = readFileSync(replica.file);
  const sha256 = createHash('sha256').update(body).digest('base64');
  const other = createServer((_, response) => {
    const offer = {replicaVersion: '110', watermark: '1zz', bytes: body.length, sha256};
    response.writeHead(200, {...offerHeaders(offer), 'content-length': body.length}).end(body);
  });
  await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve));
  try {
    const uri = `http://127.0.0.1:${(other.address() as {port: number}).port}`;
    await expect(fetchTo(uri, {attempts: 2})).rejects.toMatchObject({code: 'R021'});
  } finally {
    other.closeAllConnections();
    other.close();
  }
  expect(readdirSync(dir)).toEqual([]);
});

test('many at once share one copy, and all get it although only some are served at a time', async () => {
  await using node = await snapshotNode(replica.file, {maxDownloads: 2});
  const files = Array.from({length: 6}, (_, i) => join(dir, `node${i}.db`));
  const fetched = await Promise.all(files.map(each => fetchTo(node.uri, {file: each})));
  expect(new Set(fetched.map(({watermark}) => watermark))).toEqual(new Set([replica.version]));
  for (const each of files) expect(titles(each)).toEqual(titles(replica.file));
  expect(node.logged.filter(line => line.startsWith('copied the replica')).length).toBe(1);
  expect(node.answers.filter(status => status === 200).length).toBe(6);
});

test('the change log is kept from before the copy until its receivers have subscribed', async () => {
  await using node = await snapshotNode(replica.file);
  expect(node.floor.lowest).toBe(null);
  const watermark = replica.version;
  const fetching = fetchTo(node.uri, {
    onProgress: ({phase}) => {
      if (phase === 'wait') expect(node.floor.lowest).toBe(watermark);
    },
  });
  await fetching;
  replica.transact([{op: 'delete', table: 'issue', key: {id: 'i1'}}]);
  expect(node.floor.lowest).toBe(watermark);
});

test('copies are removed at the end, those that a killed process left at the start, and a rebuilt replica has new ones', async () => {
  const copies = () => readdirSync(dirname(replica.file)).filter(name => name.includes('.snapshot-'));
  writeFileSync(`${replica.file}.snapshot-7`, 'left');
  writeFileSync(`${replica.file}.snapshot-7-journal`, 'left');
  {
    await using node = await snapshotNode(replica.file);
    expect(copies()).toEqual([]);
    await fetchTo(node.uri);
    expect(copies()).toEqual([`${basename(replica.file)}.snapshot-1`]);
    node.snapshots.forget();
    expect(copies()).toEqual([]);
    replica.transact([{op: 'delete', table: 'issue', key: {id: 'i1'}}]);
    expect((await fetchTo(node.uri)).watermark).toBe(replica.version);
    expect(copies()).toEqual([`${basename(replica.file)}.snapshot-2`]);
  }
  expect(copies()).toEqual([]);
});

test('without room for a copy nobody is served, and both sides say so', async () => {
  // More than any disk holds, without taking it: a hole at the end of the file.
  const {db} = replica;
  db.pragma('wal_checkpoint(TRUNCATE)');
  const sparse = join(dir, 'sparse.db');
  writeFileSync(sparse, '');
  truncateSync(sparse, 2 ** 43);
  await using node = await snapshotNode(sparse, {watermark: () => '110'});
  await expect(fetchTo(node.uri, {attempts: 1})).rejects.toThrow(/no room to copy the replica/);
  expect(node.answers).toEqual([507]);
  expect(node.logged.join()).toContain('no room to copy the replica');
});

test('whoever comes before there is a replica, or anybody at all, waits and says so', async () => {
  const uri = await unusedUri();
  const stop = new AbortController();
  const waiting = fetchTo(uri, {signal: stop.signal});
  await until(() => logged.some(line => line.includes('does not answer (ECONNREFUSED)')), 'the wait is told');
  stop.abort();
  await expect(waiting).rejects.toThrow();

  let ready = false;
  await using node = await snapshotNode(replica.file, {watermark: () => (ready ? replica.version : null)});
  const fetching = fetchTo(node.uri);
  await until(() => logged.some(line => line.includes('There is no replica yet')), 'the wait is told');
  ready = true;
  expect((await fetching).watermark).toBe(replica.version);
});

test('without the secret nobody gets the replica, and does not wait for it either', async () => {
  await using node = await snapshotNode(replica.file, {secret: 'between us'});
  for (const secret of [undefined, 'wrong'])
    await expect(fetchTo(node.uri, {secret})).rejects.toBeInstanceOf(NodeRefused);
  expect(node.answers).toEqual([401, 401]);
  expect(logged.join()).not.toContain('wrong');
  await fetchTo(node.uri, {secret: 'between us'});
  expect(titles(file)).toEqual(titles(replica.file));
});

test('ranges are served only of the copy that they name', async () => {
  await using node = await snapshotNode(replica.file);
  await fetchTo(node.uri);
  const get = async (headers: Record<string, string>) => {
    const answer = await fetch(`${node.uri.replace('ws:', 'http:')}${SNAPSHOT_PATH}`, {headers});
    await answer.body?.cancel();
    return answer;
  };
  const whole = await get({});
  const etag = whole.headers.get('etag')!;
  const bytes = Number(whole.headers.get('content-length'));
  const part = await get({range: 'bytes=100-', 'if-range': etag});
  expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 100-${bytes - 1}/${bytes}`]);
  expect((await get({range: 'bytes=100-', 'if-range': '"110-1zz"'})).status).toBe(200);
  expect((await get({range: 'bytes=100-'})).status).toBe(200);
  expect((await get({range: `bytes=${bytes}-`, 'if-range': etag})).status).toBe(416);
});

/** The address of nobody. */
const unusedUri = async (): Promise<string> => {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as {port: number};
  await new Promise(resolve => server.close(resolve));
  return `ws://127.0.0.1:${port}`;
};

test('a replica that was away when somebody asked for it is handed out to who comes later', async () => {
  await using node = await snapshotNode(replica.file, {watermark: () => replica.version});
  const away = `${replica.file}.away`;
  renameSync(replica.file, away);
  const answer = await fetch(`${node.uri.replace('ws:', 'http:')}${SNAPSHOT_PATH}`);
  expect(answer.status).toBe(500);
  expect(node.snapshots.isCopying).toBe(false);
  renameSync(away, replica.file);
  await fetchTo(node.uri);
  expect(titles(file)).toEqual(titles(replica.file));
});
