import {mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, inject, test} from 'vitest';
import {dumpReplica} from '../../src/replay/dump-replica.ts';
import {openReader} from '../../src/replica/open.ts';
import {deployAnyone} from '../e2e/permissions.ts';
import {initialRows, randomTransaction} from '../e2e/random-data.ts';
import {ddl, schema, zql} from '../e2e/schema.ts';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {Random} from '../helpers/random.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';
import {fixtureReplay} from './io.ts';
import {startRecording} from './start-recording.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'zs-talk-'));
});
afterEach(() => rmSync(root, {recursive: true, force: true}));

const conversation = (dir: string): string =>
  readdirSync(dir)
    .filter(name => name.startsWith('conversation-'))
    .map(name => readFileSync(join(dir, name), 'utf8'))
    .join('');

test('a recording of a running server with its clients replays to its replica and its pokes, byte for byte', async () => {
  const random = new Random(11);
  await using db = await createDatabase(ddl);
  await db.query(initialRows(random).join('; '));
  await using daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    // Hydrations that are never interrupted meet their rows in the order of a replay.
    args: ['--num-sync-workers', '2', '--yield-threshold-ms', '10000'],
  });
  await deployAnyone(db, db.appID);
  const open = (userID: string) => stockClient({schema, server: daemon.url, storageKey: userID, userID});
  const queries = [
    zql.issue.orderBy('rank', 'desc').limit(20),
    zql.issue.whereExists('comments').related('comments').limit(15),
    zql.tick,
  ];
  const watch = (client: ReturnType<typeof open>) =>
    queries.map(query => client.zero.materialize(query as never) as {data: unknown; destroy(): void});
  await using first = open('u1');
  await using second = open('u2');
  const views = watch(first);
  watch(second);
  await until(
    () => views.every(({data}) => data !== undefined && JSON.stringify(data) !== '[]'),
    'it is served',
  );

  const dir = join(root, 'wal', 'talk');
  const end = await startRecording({
    server: daemon.url,
    out: dir,
    about: 'with clients',
    reconnectClients: true,
  });
  const write = () => db.query(`BEGIN; ${randomTransaction(random).join('; ')}; COMMIT`);
  const heard = (n: number) =>
    until(() => conversation(dir).split('"op":"sent"').length > n, 'clients are told while it is recorded');
  // The first one is written when they are back; what was written meanwhile is in their first poke.
  await write();
  await heard(2);
  for (let n = 0; n < 10; n++) await write();
  await heard(3);
  // A group that comes meanwhile, leaves, and comes back; a query that goes.
  {
    await using third = open('u3');
    watch(third);
    for (let n = 0; n < 5; n++) await write();
    await heard(6);
  }
  views[0]!.destroy();
  for (let n = 0; n < 10; n++) await write();
  const printed = await end(db);
  expect(printed).toMatch(/[1-9]\d* messages to clients on [3-9] connections/);

  const replica = openReader(daemon.replicaFile);
  expect(readFileSync(join(dir, 'expect.replica.ndjson'), 'utf8')).toBe(
    `${[...dumpReplica(replica)].join('\n')}\n`,
  );
  replica.close();
  const {code, out} = await fixtureReplay('--diff', '--postgres', inject('postgresUrl'), dir);
  expect(code, out).toBe(0);
  expect(out).toMatch(/[1-9]\d* messages to clients/);
  expect(out).not.toContain('in another order');

  // And what differs is told.
  const [told, untrue] = ['"op":"put","tableName":"tick"', '"op":"put","tableName":"tock"'];
  // A worker may serve none of the groups for long enough.
  const file = readdirSync(dir).find(
    name => name.startsWith('conversation-') && readFileSync(join(dir, name), 'utf8').includes(told),
  )!;
  writeFileSync(join(dir, file), readFileSync(join(dir, file), 'utf8').replace(told, untrue));
  const different = await fixtureReplay('--postgres', inject('postgresUrl'), dir);
  expect(different).toMatchObject({code: 1, out: expect.stringContaining(file)});
  expect(different.out).toContain('tock');
  // Without a PostgreSQL stream and replica are replayed all the same.
  expect(await fixtureReplay(dir)).toMatchObject({
    code: 0,
    out: expect.stringContaining('what was said with clients left out (--postgres)'),
  });
}, 90_000);
