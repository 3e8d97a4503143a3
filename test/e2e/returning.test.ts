import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createBuilder, createSchema, number, string, table} from '@rocicorp/zero';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {type Daemon, type DaemonOptions, startDaemon} from '../helpers/daemon.ts';
import {peerDaemon} from '../helpers/peer.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {ClientStore, StoreClient} from '../helpers/store-client.ts';
import {until} from '../helpers/until.ts';
import {originalCvr} from './original-cvr.ts';

/** Clients that come back: to another server, after a crash, to the original's view records, after a purge. */
const schema = {
  tables: {
    item: {columns: {id: {type: 'string' as const}, n: {type: 'number' as const}}, primaryKey: ['id']},
  },
};
const QUERY = {table: 'item', orderBy: [['id', 'asc']] as const};
const want = {init: {desiredQueriesPatch: [{op: 'put' as const, hash: 'q', ast: QUERY, ttl: 300_000}]}};
const anyone = JSON.stringify({tables: {item: {row: {select: [['allow', {type: 'and', conditions: []}]]}}}});

let db: TestDatabase;
let dir: string;
let cvr: string;

beforeEach(async () => {
  db = await createDatabase(`
    CREATE TABLE item (id text PRIMARY KEY, n int NOT NULL);
    INSERT INTO item VALUES ('i1', 1), ('i2', 2), ('i3', 3);`);
  dir = await mkdtemp(join(tmpdir(), 'zerostream-returning-'));
  cvr = `"${db.appID}_0/cvr"`;
});
afterEach(async () => {
  await db[Symbol.asyncDispose]();
  await rm(dir, {recursive: true, force: true});
});

const start = async (options: Partial<DaemonOptions> = {}): Promise<Daemon> => {
  const daemon = await startDaemon({upstream: db.url, appID: db.appID, dir, ...options});
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [anyone]);
  return daemon;
};

const open = (daemon: Daemon, from?: StoreClient, store = from?.store) =>
  StoreClient.open({
    url: daemon.url,
    schema,
    ...(from ? {clientID: from.clientID, clientGroupID: from.clientGroupID} : want),
    ...(store ? {store} : {}),
  });
const shows = (c: StoreClient, wanted: Record<string, number>) =>
  c.until(
    () => JSON.stringify(shown(c)) === JSON.stringify(wanted),
    `${JSON.stringify(wanted)} is shown, not ${JSON.stringify(shown(c))}`,
  );
const shown = (c: StoreClient) => Object.fromEntries(c.store.table('item').map(({id, n}) => [id, n]));
const rowOps = (c: StoreClient): string[] =>
  c.messages.flatMap(message =>
    message[0] === 'pokePart'
      ? (message[1].rowsPatch ?? []).map(op => `${op.op} ${op.op === 'put' ? op.value['id'] : op.id['id']}`)
      : [],
  );

test('a client goes on after a restart, and after a crash with rows still to be written', async () => {
  await db.query(`INSERT INTO item SELECT 'x' || n, n FROM generate_series(1, 2000) n`);
  let daemon = await start();
  const a = await open(daemon);
  await a.until(() => a.store.rows.size === 2003, 'all rows arrive');
  await daemon.stop();
  expect(a.error?.kind).toBe('Rehome');
  await db.query(`UPDATE item SET n = 11 WHERE id = 'i1'`);
  await db.query(`DELETE FROM item WHERE id LIKE 'x%'`);
  daemon = await start();
  const b = await open(daemon, a);
  await shows(b, {i1: 11, i2: 2, i3: 3});
  expect(rowOps(b).filter(op => op.startsWith('put'))).toEqual(['put i1']);
  // A poke of many rows is followed by a crash at once: the journal holds what the table does not.
  await db.query(`INSERT INTO item SELECT 'y' || n, n FROM generate_series(1, 3000) n`);
  await b.until(() => b.store.rows.size === 3003, 'many rows arrive');
  await daemon.kill();
  const before = new ClientStore();
  Object.assign(before, {cookie: b.store.cookie});
  for (const [id, row] of b.store.rows) before.rows.set(id, row);
  daemon = await start();
  try {
    const c = await open(daemon, b, before);
    await db.query(`DELETE FROM item WHERE id LIKE 'y%'`);
    await shows(c, {i1: 11, i2: 2, i3: 3});
    expect([...a.violations, ...b.violations, ...c.violations]).toEqual([]);
  } finally {
    await daemon[Symbol.asyncDispose]();
  }
});

test('a view record as the original writes it is taken over: what is right stays, what is not is mended', async () => {
  let daemon = await start();
  const a = await open(daemon);
  await shows(a, {i1: 1, i2: 2, i3: 3});
  await daemon.stop();
  const [instance] = (await db.query(`SELECT * FROM ${cvr}.instances`)).rows;
  const stored = (await db.query(`SELECT * FROM ${cvr}.rows ORDER BY "rowKey"`)).rows;
  const version = a.store.cookie!;
  expect(instance.version).toBe(version);
  await db.query(originalCvr(db.appID));
  const {clientGroupID: g, clientID: c} = a;
  await db.query(
    `INSERT INTO ${cvr}.instances VALUES ($1, $2, now(), 125000, $3, 'another-task', now() - interval '1 minute', $4, $5, FALSE)`,
    [g, version, instance.replicaVersion, instance.clientSchema, instance.profileID],
  );
  await db.query(`INSERT INTO ${cvr}.clients VALUES ($1, $2)`, [g, c]);
  const internal = {table: `${db.appID}_0.clients`, orderBy: [['clientID', 'asc']]};
  for (const hash of ['lmids', 'mutationResults'])
    await db.query(
      `INSERT INTO ${cvr}.queries VALUES ($1, $2, $3, NULL, NULL, NULL, '2lmidhash', $4, TRUE, FALSE, 'f00')`,
      [g, hash, internal, version],
    );
  await db.query(
    `INSERT INTO ${cvr}.queries VALUES ($1, 'q', $2, NULL, NULL, $3, '3hqsmc1p5vs54', $3, FALSE, FALSE, 'abc123')`,
    [g, QUERY, version],
  );
  await db.query(
    `INSERT INTO ${cvr}.desires VALUES ($1, $2, 'q', $3, FALSE, '00:05:00', 300000, NULL, NULL)`,
    [g, c, version],
  );
  await db.query(`INSERT INTO ${cvr}."rowsVersion" VALUES ($1, $2)`, [g, version]);
  const row = (id: string, rowVersion: string, refCounts: object | null) =>
    db.query(`INSERT INTO ${cvr}.rows VALUES ($1, '', 'item', $2, $3, $4, $5)`, [
      g,
      {id},
      rowVersion,
      version,
      refCounts && JSON.stringify(refCounts),
    ]);
  // i1 is right, counted twice; i2 changed since; i3 was forgotten; i4 is long gone; i5 is a tombstone.
  await row('i1', stored[0].rowVersion, {q: 2});
  await row('i2', stored[1].rowVersion, {q: 1});
  await row('i4', stored[1].rowVersion, {q: 1});
  await row('i5', stored[1].rowVersion, null);
  a.store.rows.set('item/["i4"]', {id: 'i4', n: 4});
  await db.query(`UPDATE item SET n = 22 WHERE id = 'i2'`);
  daemon = await start();
  try {
    const b = await open(daemon, a);
    await shows(b, {i1: 1, i2: 22, i3: 3});
    expect(rowOps(b).sort()).toEqual(['del i4', 'put i2', 'put i3']);
    expect(b.violations).toEqual([]);
    const {rows: queries} = await db.query(`SELECT "transformationHash" AS hash FROM ${cvr}.queries`);
    expect(queries.every(({hash}) => hash.startsWith('zs-'))).toBe(true);
    const {rows: history} = await db.query(`SELECT "schemaVersion" FROM ${cvr}."versionHistory"`);
    expect(history).toEqual([{schemaVersion: 17}]);
  } finally {
    await daemon[Symbol.asyncDispose]();
  }
});

const peer = peerDaemon();

/** The stock server and ours take turns on one database; each with a replica of its own. */
test.skipIf(!peer)(
  'an app moves from the stock server to ours and back; no client is reset',
  async () => {
    let client: StoreClient | undefined;
    const expected: Record<string, number> = {i1: 1, i2: 2, i3: 3};
    for (const [turn, options] of [peer!, {}, peer!, {}].entries()) {
      const own = await mkdtemp(join(dir, 'replica-'));
      const daemon = await start({...options, dir: own});
      try {
        client = await open(daemon, client);
        await shows(client, expected);
        expect(client.error).toBeNull();
        await db.query('UPDATE item SET n = $1 WHERE id = $2', [(expected['i1'] = 100 + turn), 'i1']);
        await db.query('INSERT INTO item VALUES ($1, $2)', [`n${turn}`, turn]);
        expected[`n${turn}`] = turn;
        await db.query('DELETE FROM item WHERE id = $1', [turn === 0 ? 'i2' : `n${turn - 1}`]);
        delete expected[turn === 0 ? 'i2' : `n${turn - 1}`];
        await shows(client, expected);
        expect(client.violations).toEqual([]);
        await client.close();
      } finally {
        await daemon[Symbol.asyncDispose]();
      }
    }
  },
  300_000,
);

test('a purged client starts anew by itself', async () => {
  const item = table('item').columns({id: string(), n: number()}).primaryKey('id');
  const stock = createSchema({tables: [item], enableLegacyQueries: true});
  const zql = createBuilder(stock);
  let daemon = await start();
  const visit = async (work: (rows: () => number, complaints: readonly string[]) => Promise<void>) => {
    await using client = stockClient({schema: stock, server: daemon.url, storageKey: db.name, userID: 'u1'});
    const view = client.zero.materialize(zql.item);
    let complete = false;
    view.addListener((_, type) => {
      complete ||= type === 'complete';
    });
    await work(() => (complete ? view.data.length : 0), client.complaints);
  };
  try {
    await visit(async (rows, complaints) => {
      await until(() => rows() === 3, 'the rows are there');
      await daemon.stop();
      await db.query(`UPDATE ${cvr}.instances SET "lastActive" = now() - interval '3 days'`);
      daemon = await start({
        port: daemon.port,
        env: {ZERO_CVR_GARBAGE_COLLECTION_INITIAL_INTERVAL_SECONDS: '0.05'},
      });
      await until(
        async () => (await db.query(`SELECT 1 FROM ${cvr}.instances WHERE deleted`)).rowCount === 1,
        'the group is purged',
      );
      // If the client was faster than that, the server notices when it wants to write.
      await db.query(`UPDATE item SET n = 4 WHERE id = 'i1'`);
      await until(() => complaints.includes('client state not found'), 'the client is told');
    });
    await visit(rows => until(() => rows() === 3, 'the rows are there again'));
  } finally {
    await daemon[Symbol.asyncDispose]();
  }
});
