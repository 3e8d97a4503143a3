import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {DaemonInspection} from '../../src/observe/inspection.ts';
import type {Down, PokePart} from '../../src/protocol/down.ts';
import type {UpQueryOp} from '../../src/protocol/up.ts';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {untilServed} from '../helpers/served.ts';
import {type ClientStore, StoreClient, type StoreClientOptions} from '../helpers/store-client.ts';
import {until} from '../helpers/until.ts';

/** Client groups over the wire: cookies, several tabs, several groups, lifetimes (views.md §2.7, §3, §10). */
const schema = {
  tables: {
    item: {
      columns: {id: {type: 'string' as const}, grp: {type: 'string' as const}, n: {type: 'number' as const}},
      primaryKey: ['id'],
    },
  },
};
const anyone = JSON.stringify({
  tables: {item: {row: {select: [['allow', {type: 'and', conditions: []}]]}}},
});

let db: TestDatabase;
let daemon: Daemon;
/** Rows of one test are not those of another. */
let grp: string;
let tests = 0;

beforeAll(async () => {
  db = await createDatabase(
    'CREATE TABLE item (id text PRIMARY KEY, grp text NOT NULL, n int NOT NULL, body text); CREATE INDEX ON item (grp)',
  );
  daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {ZERO_CLIENT_GROUP_LINGER_MS: '500'},
  });
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [anyone]);
  await db.query(`INSERT INTO item VALUES ('probe', 'probe', 1)`);
  // Permissions travel by replication: until they have come, nobody sees anything.
  await using probe = await open({init: {desiredQueriesPatch: [put('probe', {group: 'probe'})]}});
  await probe.until(() => probe.store.rows.size === 1, 'the permissions are there');
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  grp = `t${++tests}`;
  await db.query(`INSERT INTO item VALUES ($1 || '-1', $1, 1), ($1 || '-2', $1, 2)`, [grp]);
  await untilServed(daemon, 'SELECT count(*) = 2 FROM item WHERE grp = ?', grp);
});

const client = (options: Partial<StoreClientOptions> = {}) =>
  new StoreClient({url: daemon.url, schema, ...options});
const open = (options: Partial<StoreClientOptions> = {}) =>
  StoreClient.open({url: daemon.url, schema, ...options});

const put = (hash: string, {ttl, group = grp}: {ttl?: number; group?: string} = {}): UpQueryOp => ({
  op: 'put',
  hash,
  ...(ttl === undefined ? {} : {ttl}),
  ast: {
    table: 'item',
    where: {
      type: 'simple',
      op: '=',
      left: {type: 'column', name: 'grp'},
      right: {type: 'literal', value: group},
    },
    orderBy: [['id', 'asc']],
  },
});
const want = (...ops: UpQueryOp[]) => ({init: {desiredQueriesPatch: ops}});
const got = async (c: StoreClient, ...hashes: string[]) =>
  c.until(() => hashes.every(hash => c.store.got.has(hash)), `${hashes} are got`);
const values = (c: {store: ClientStore}) => c.store.table('item').map(({n}) => n);
const set = (suffix: number, n: number) =>
  db.query(`UPDATE item SET n = $2 WHERE id = $1`, [`${grp}-${suffix}`, n]);
const shows = (c: StoreClient, ...wanted: number[]) =>
  c.until(() => JSON.stringify(values(c)) === JSON.stringify(wanted), `${wanted} is shown, not ${values(c)}`);
const parts = (c: StoreClient): PokePart[] =>
  c.messages
    .filter((message): message is Extract<Down, readonly ['pokePart', unknown]> => message[0] === 'pokePart')
    .map(([, part]) => part);
/** What the pokes of a connection have said, together. */
const said = (c: StoreClient) => ({
  desired: parts(c).flatMap(part => Object.values(part.desiredQueriesPatches ?? {}).flat()),
  got: parts(c).flatMap(({gotQueriesPatch = []}) => gotQueriesPatch),
  rows: parts(c).flatMap(({rowsPatch = []}) =>
    rowsPatch.map(op => [op.op, op.op === 'put' ? op.value['id'] : op.id['id']]),
  ),
});
const instance = async (c: StoreClient) =>
  (
    await db.query(`SELECT * FROM "${db.appID}_0/cvr".instances WHERE "clientGroupID" = $1`, [
      c.clientGroupID,
    ])
  ).rows[0];

test('a new group is served from nothing; a second tab at its cookie gets no row again, one from nothing gets all', async () => {
  await using a = await open(want(put('q')));
  await got(a, 'q');
  // Its rows may still be on their way from upstream.
  await shows(a, 1, 2);
  await using b = await open({clientGroupID: a.clientGroupID, store: a.store.fork(), ...want(put('q'))});
  await b.until(() => b.store.desired.has(`${b.clientID}/q`), 'the query is desired by the second tab');
  await a.until(() => a.store.desired.has(`${b.clientID}/q`), 'the first tab hears of it');
  expect(said(b)).toMatchObject({got: [], rows: []});
  await using c = await open({clientGroupID: a.clientGroupID});
  await got(c, 'q');
  expect(c.store.rows).toEqual(a.store.rows);
  expect([...c.store.desired].sort()).toEqual([`${a.clientID}/q`, `${b.clientID}/q`].sort());
  await set(1, 7);
  for (const tab of [a, b, c]) await shows(tab, 7, 2);
  expect(new Set([a, b, c].map(tab => tab.store.cookie)).size).toBe(1);
  expect([a, b, c].flatMap(tab => tab.violations)).toEqual([]);
});

test('a change reaches every group of the same queries, each at its own cookie, and no group that it does not concern', async () => {
  const clients = await Promise.all(Array.from({length: 5}, () => open(want(put('q')))));
  await using other = await open(want(put('q', {group: 'probe'})));
  for (const c of [...clients, other]) await got(c, 'q');
  // One of them is a config version ahead of the rest.
  clients[0]!.send('changeDesiredQueries', {desiredQueriesPatch: [put('q-probe', {group: 'probe'})]});
  await got(clients[0]!, 'q-probe');
  const before = await instance(other);
  const pokes = other.pokes;
  await set(2, 9);
  for (const c of clients.slice(1)) await shows(c, 1, 9);
  await clients[0]!.until(() => values(clients[0]!).includes(9), 'the group with more queries has it too');
  expect(other.pokes).toBe(pokes);
  expect((await instance(other)).version).toBe(before.version);
  for (const c of clients) {
    expect(c.violations).toEqual([]);
    await c.close();
  }
});

/** A group without clients lingers for half a second. */
const letGo = async (c: StoreClient) =>
  until(async () => {
    const response = await fetch(`${daemon.url}/pipelines`);
    const {workers} = (await response.json()) as DaemonInspection;
    return workers.every(({groups}) => groups.every(({clientGroupID}) => clientGroupID !== c.clientGroupID));
  }, 'the group is let go');

test.each([false, true])(
  'from any older cookie a client gets exactly what it misses (group let go: %s)',
  async away => {
    const a = await open(want(put('q', {ttl: 0}), put('q-probe', {group: 'probe'})));
    await got(a, 'q', 'q-probe');
    const first = a.store.fork();
    await set(1, 5);
    await a.until(() => values(a).includes(5), 'the change arrives');
    const second = a.store.fork();
    a.send('changeDesiredQueries', {desiredQueriesPatch: [{op: 'del', hash: 'q'}]});
    await a.until(() => !a.store.got.has('q'), 'a query without time to live goes when nobody wants it');
    expect(values(a)).toEqual([1]);
    const third = a.store.fork();
    await a.close();
    if (away) await letGo(a);
    const reconnect = (store: ClientStore) =>
      open({clientID: a.clientID, clientGroupID: a.clientGroupID, store: store.fork()});
    const removed = {desired: [{op: 'del', hash: 'q'}], got: [{op: 'del', hash: 'q'}]};
    for (const store of [first, second]) {
      await using c = await reconnect(store);
      const {rows, ...queries} = said(c);
      expect(queries).toEqual(removed);
      expect(rows.sort()).toEqual([
        ['del', `${grp}-1`],
        ['del', `${grp}-2`],
      ]);
      expect(c.store.rows).toEqual(third.rows);
      expect(c.violations).toEqual([]);
    }
    // Nothing is missing: one empty poke, and the cookie stays.
    await using same = await reconnect(third);
    expect(said(same)).toEqual({desired: [], got: [], rows: []});
    expect(same.store.cookie).toBe(third.cookie);
    // A change while a client was away comes alone.
    await db.query(`INSERT INTO item VALUES ($1, 'probe', 4)`, [`${grp}-p`]);
    await same.until(() => values(same).includes(4), 'the new row arrives');
    await using late = await reconnect(third);
    expect(said(late)).toEqual({desired: [], got: [], rows: [['put', `${grp}-p`]]});
    await db.query('DELETE FROM item WHERE id = $1', [`${grp}-p`]);
  },
);

test('rows of a returning group are not read when they are still the same, and are when others came or went', async () => {
  const a = await open(want(put('q'), put('q-probe', {group: 'probe'})));
  await got(a, 'q', 'q-probe');
  await a.close();
  await letGo(a);
  const sets = `"${db.appID}_0/cvr"."zerostreamRowSets"`;
  const saved = async () =>
    (
      await db.query(
        `SELECT s.version = i.version AS fits, s.sets FROM ${sets} s JOIN "${db.appID}_0/cvr".instances i USING ("clientGroupID")
         WHERE "clientGroupID" = $1`,
        [a.clientGroupID],
      )
    ).rows[0];
  await until(async () => (await saved())?.fits === true, 'the digests are stored');
  expect(Object.keys((await saved()).sets).sort()).toEqual(['lmids', 'mutationResults', 'q', 'q-probe']);
  const returning = () => open({clientID: a.clientID, clientGroupID: a.clientGroupID, store: a.store.fork()});
  // The stored rows are made wrong: whoever reads them would send everything again.
  await db.query(`UPDATE "${db.appID}_0/cvr".rows SET "rowVersion" = '00' WHERE "clientGroupID" = $1`, [
    a.clientGroupID,
  ]);
  await set(2, 22);
  {
    await using b = await returning();
    await b.until(() => values(b).includes(22), 'the change is there');
    expect(said(b).rows).toEqual([['put', `${grp}-2`]]);
    await b.close();
    await letGo(a);
  }
  // Now a row came: the digests differ, and the stored rows decide.
  await db.query(`INSERT INTO item VALUES ($1 || '-3', $1, 3)`, [grp]);
  await using witness = await open(want(put('q')));
  await witness.until(() => values(witness).includes(3), 'the new row has reached the server');
  await using c = await returning();
  await c.until(() => values(c).includes(3), 'the new row is there');
  expect(c.store.table('item').map(({id}) => id)).toEqual(
    ['probe', `${grp}-1`, `${grp}-2`, `${grp}-3`].sort(),
  );
  expect(said(c).rows).toContainEqual(['put', `${grp}-1`]);
});

test('a query that is wanted again after it was given up comes with its rows', async () => {
  await using a = await open(want(put('q', {ttl: 0})));
  await got(a, 'q');
  a.send('changeDesiredQueries', {desiredQueriesPatch: [{op: 'del', hash: 'q'}]});
  await a.until(() => a.store.rows.size === 0, 'the rows go');
  a.send('changeDesiredQueries', {desiredQueriesPatch: [put('q')]});
  await got(a, 'q');
  expect(values(a)).toEqual([1, 2]);
  expect(a.violations).toEqual([]);
});

test('cookies that do not fit are refused with the error that makes the client start anew', async () => {
  await using a = await open(want(put('q')));
  await got(a, 'q');
  const refused = async (options: Partial<StoreClientOptions>) => {
    await using c = client({init: {}, ...options});
    await c.untilClosed();
    return [c.error?.kind, c.error?.message];
  };
  const {clientGroupID} = a;
  const cookie = a.store.cookie!;
  for (const garbage of ['garbage', 'zz', '0a:', '0A', `${cookie}:00`, '<script>', ':01', '0a:01:01'])
    expect(await refused({clientGroupID, baseCookie: garbage})).toEqual([
      'ClientNotFound',
      'The cookie is not one of this server.',
    ]);
  expect(await refused({clientGroupID, baseCookie: 'c3w5e11264sgsf'})).toEqual([
    'InvalidConnectionRequestBaseCookie',
    `CVR is at version ${(await instance(a)).version}`,
  ]);
  expect(await refused({baseCookie: cookie})).toEqual(['ClientNotFound', 'Client not found']);
  // The others of the group do not notice.
  await set(1, 3);
  await shows(a, 3, 2);
});

test('a client that was served elsewhere comes back to a server that does not know of it yet', async () => {
  await using a = await open(want(put('q')));
  await got(a, 'q');
  // As another server does, with another client of the group: here nothing has happened since.
  const elsewhere = `${a.store.cookie!.split(':')[0]}:05`;
  for (const table of ['instances', '"rowsVersion"'])
    await db.query(`UPDATE "${db.appID}_0/cvr".${table} SET version = $2 WHERE "clientGroupID" = $1`, [
      a.clientGroupID,
      elsewhere,
    ]);
  const returning = () => client({clientGroupID: a.clientGroupID, baseCookie: elsewhere, ...want(put('q'))});
  await using first = returning();
  await first.untilClosed();
  expect(first.error?.kind).toBe('Rehome');
  await a.untilClosed();
  expect(a.error?.kind).toBe('Rehome');
  await using second = returning();
  await second.until(() => second.pokes > 0, 'it is taken in');
  await set(1, 7);
  await second.until(() => values(second).includes(7), 'it is served');
});

test('client schemas are checked against the group and the replica', async () => {
  await using a = await open(want(put('q')));
  await got(a, 'q');
  const refused = async (options: Partial<StoreClientOptions>) => {
    await using c = client(options);
    await c.untilClosed();
    return c.error?.kind;
  };
  expect(await refused({init: {clientSchema: undefined}})).toBe('InvalidConnectionRequest');
  const other = {tables: {item: {...schema.tables.item, columns: {id: {type: 'string' as const}}}}};
  expect(await refused({clientGroupID: a.clientGroupID, init: {clientSchema: other}})).toBe(
    'InvalidConnectionRequest',
  );
  await using lost = client({init: {clientSchema: {tables: {nowhere: schema.tables.item}}}});
  await lost.untilClosed();
  expect(lost.error).toMatchObject({
    kind: 'SchemaVersionNotSupported',
    message: 'The "nowhere" table does not exist or is not one of the replicated tables: "item".',
  });
  expect(a.closed).toBeNull();
});

test('nothing is taken before the first message', async () => {
  await using a = client({init: null});
  await a.until(() => a.messages.length > 0, 'it is connected');
  a.send('changeDesiredQueries', {desiredQueriesPatch: [put('q')]});
  await a.untilClosed();
  expect(a.error?.kind).toBe('InvalidMessage');
});

test('a second initConnection on a connection adds to the first, and nothing is told twice', async () => {
  await using a = await open(want(put('q')));
  await got(a, 'q');
  const pokes = a.pokes;
  a.send('initConnection', {desiredQueriesPatch: [put('q')], clientSchema: schema});
  a.send('initConnection', {desiredQueriesPatch: [put('q-probe', {group: 'probe'})]});
  await got(a, 'q-probe');
  expect(a.pokes).toBe(pokes + 1);
  expect(values(a)).toEqual([1, 1, 2]);
  expect(a.violations).toEqual([]);
  expect(a.error).toBeNull();
});

test('a new connection of the same client replaces the old one', async () => {
  await using a = await open(want(put('q')));
  await got(a, 'q');
  await using b = await open({clientID: a.clientID, clientGroupID: a.clientGroupID, store: a.store.fork()});
  await a.untilClosed();
  expect(a.error).toBeNull();
  await set(2, 8);
  await shows(b, 1, 8);
});

const desire = async (c: StoreClient, hash = 'q') =>
  (
    await db.query(
      `SELECT deleted, "ttlMs", "inactivatedAtMs" FROM "${db.appID}_0/cvr".desires
       WHERE "clientGroupID" = $1 AND "clientID" = $2 AND "queryHash" = $3`,
      [c.clientGroupID, c.clientID, hash],
    )
  ).rows[0];

describe('lifetimes of queries', () => {
  test.each([
    [undefined, 300_000],
    [-1, 600_000],
    [10_000_000, 600_000],
    [0, 0],
    [1234, 1234],
  ])('a ttl of %s ms is stored as %s', async (ttl, ttlMs) => {
    await using a = await open(want(put('q', ttl === undefined ? {} : {ttl})));
    await got(a, 'q');
    expect(await desire(a)).toEqual({deleted: false, ttlMs, inactivatedAtMs: null});
  });

  test('a longer ttl is taken, a shorter one is not', async () => {
    await using a = await open(want(put('q', {ttl: 1000})));
    await got(a, 'q');
    const cookie = a.store.cookie;
    a.send('changeDesiredQueries', {desiredQueriesPatch: [put('q', {ttl: 500})]});
    a.send('changeDesiredQueries', {desiredQueriesPatch: [put('q', {ttl: 5000})]});
    await a.until(() => a.store.cookie !== cookie, 'the longer one is told');
    expect(await desire(a)).toMatchObject({ttlMs: 5000});
    expect(said(a).desired).toHaveLength(2);
  });

  test('a query goes when its time has run out in every client that wanted it', async () => {
    await using a = await open(want(put('q', {ttl: 300})));
    await got(a, 'q');
    await using b = await open({clientGroupID: a.clientGroupID, ...want(put('q', {ttl: 0}))});
    await b.until(() => b.store.desired.has(`${b.clientID}/q`), 'both want it');
    a.send('changeDesiredQueries', {desiredQueriesPatch: [{op: 'del', hash: 'q'}]});
    await b.until(() => !b.store.desired.has(`${a.clientID}/q`), 'one wants it no more');
    await set(1, 4);
    await shows(b, 4, 2);
    expect(await desire(a)).toMatchObject({deleted: true, inactivatedAtMs: expect.any(Number)});
    b.send('changeDesiredQueries', {desiredQueriesPatch: [{op: 'del', hash: 'q'}]});
    for (const c of [a, b]) {
      await c.until(() => !c.store.got.has('q'), 'nobody wants it');
      expect(c.store.rows.size).toBe(0);
      expect(c.violations).toEqual([]);
    }
  });

  test('clear gives up all queries of a client at once, whatever their ttl', async () => {
    await using a = await open(want(put('q'), put('q-probe', {group: 'probe'})));
    await got(a, 'q', 'q-probe');
    a.send('changeDesiredQueries', {desiredQueriesPatch: [{op: 'clear'}]});
    await a.until(() => a.store.got.size === 0 && a.store.rows.size === 0, 'nothing is left');
    expect(a.store.desired.size).toBe(0);
  });

  test('the clock goes on where it stood when the group was last served', async () => {
    const a = await open(want(put('q', {ttl: 600_000})));
    await got(a, 'q');
    await a.close();
    await letGo(a);
    await until(async () => (await instance(a)).ttlClock > 0, 'the clock is stored');
    const {ttlClock} = await instance(a);
    await db.query(`UPDATE "${db.appID}_0/cvr".instances SET "ttlClock" = 1e9 WHERE "clientGroupID" = $1`, [
      a.clientGroupID,
    ]);
    expect(ttlClock).toBeLessThan(1e9);
    await using b = await open({clientID: a.clientID, clientGroupID: a.clientGroupID, store: a.store});
    b.send('changeDesiredQueries', {desiredQueriesPatch: [{op: 'del', hash: 'q'}]});
    await b.until(() => !b.store.desired.has(`${a.clientID}/q`), 'it is wanted no more');
    expect((await desire(a)).inactivatedAtMs).toBeGreaterThanOrEqual(1e9);
    expect((await desire(a)).inactivatedAtMs).toBeLessThan(1e9 + 600_000);
  });
});

describe('clients that are gone', () => {
  test('deleted clients are acknowledged to all tabs, unknown ones too; their queries run out', async () => {
    await using a = await open(want(put('q-probe', {group: 'probe'})));
    const b = await open({clientGroupID: a.clientGroupID, ...want(put('q', {ttl: 0}))});
    await got(b, 'q', 'q-probe');
    await using c = await open({clientGroupID: a.clientGroupID});
    await b.close();
    a.send('deleteClients', {clientIDs: [b.clientID, 'never-seen']});
    for (const tab of [a, c]) {
      await tab.until(
        () => tab.messages.some(([type]) => type === 'deleteClients'),
        'the deletion is acknowledged',
      );
      expect(tab.messages.find(([type]) => type === 'deleteClients')).toEqual([
        'deleteClients',
        {clientIDs: [b.clientID, 'never-seen']},
      ]);
      await tab.until(() => !tab.store.got.has('q'), 'its query is given up');
      expect([...tab.store.desired]).toEqual([`${a.clientID}/q-probe`]);
    }
    const {rows} = await db.query(
      `SELECT "clientID" FROM "${db.appID}_0/cvr".clients WHERE "clientGroupID" = $1 ORDER BY 1`,
      [a.clientGroupID],
    );
    expect(rows.map(row => row.clientID)).toEqual([a.clientID, c.clientID].sort());
  });

  test('clients that a new tab reports as deleted are forgotten, and told to all', async () => {
    await using a = await open(want(put('q-probe', {group: 'probe'})));
    const b = await open({clientGroupID: a.clientGroupID, ...want(put('q', {ttl: 0}))});
    await got(b, 'q');
    await b.close();
    const deleted = {clientIDs: [b.clientID], clientGroupIDs: ['another']};
    await using c = await open({clientGroupID: a.clientGroupID, init: {deleted}});
    for (const tab of [a, c]) {
      await tab.until(() => !tab.store.got.has('q'), 'its query is given up');
      const told = tab.messages.filter(([type]) => type === 'deleteClients');
      expect(told).toEqual([['deleteClients', {clientIDs: [b.clientID]}]]);
      expect(tab.violations).toEqual([]);
    }
  });

  test('no client deletes itself', async () => {
    await using a = await open(want(put('q')));
    a.send('deleteClients', {clientIDs: [a.clientID]});
    await a.untilClosed();
    expect(a.error?.kind).toBe('InvalidMessage');
  });

  test('clients that are not among the active ones of a new tab are forgotten without a word', async () => {
    const a = await open(want(put('q', {ttl: 0})));
    await got(a, 'q');
    await a.close();
    await using b = await open({
      clientGroupID: a.clientGroupID,
      store: a.store,
      init: {desiredQueriesPatch: [put('q-probe', {group: 'probe'})], activeClients: []},
    });
    await b.until(
      () => !b.store.got.has('q') && b.store.got.has('q-probe'),
      'what the forgotten one wanted is given up',
    );
    expect(b.messages.some(([type]) => type === 'deleteClients')).toBe(false);
    expect([...b.store.desired]).toEqual([`${b.clientID}/q-probe`]);
  });

  test('one that was taken for gone and is not is known again when it asks for something', async () => {
    await using a = await open(want(put('q')));
    await got(a, 'q');
    await using b = await open({clientGroupID: a.clientGroupID, init: {activeClients: []}});
    await b.until(() => b.store.got.has('q'), 'the other tab is served');
    const known = async () =>
      (
        await db.query(
          `SELECT 1 FROM "${db.appID}_0/cvr".clients WHERE "clientGroupID" = $1 AND "clientID" = $2`,
          [a.clientGroupID, a.clientID],
        )
      ).rowCount;
    expect(await known()).toBe(0);
    a.send('changeDesiredQueries', {desiredQueriesPatch: [put('q-probe', {group: 'probe'})]});
    await got(a, 'q-probe');
    expect(await known()).toBe(1);
  });

  test('closeConnection changes nothing', async () => {
    await using a = await open(want(put('q')));
    await got(a, 'q');
    a.send('closeConnection', []);
    await set(1, 6);
    await shows(a, 6, 2);
  });
});

test('a client that does not read is passed over and caught up later; its group goes on', async () => {
  await using a = await open(want(put('q')));
  await got(a, 'q');
  await using b = await open({clientGroupID: a.clientGroupID, store: a.store.fork()});
  b.pause();
  const pokes = b.pokes;
  for (let i = 1; i <= 30; i++) {
    await db.query(`UPDATE item SET n = $2, body = repeat('x', 1000000) WHERE id = $1`, [
      `${grp}-1`,
      100 + i,
    ]);
    await a.until(() => values(a)[0] === 100 + i, `change ${i} reaches the tab that reads`);
  }
  expect(b.pokes).toBe(pokes);
  await db.query('DELETE FROM item WHERE id = $1', [`${grp}-2`]);
  await shows(a, 130);
  b.resume();
  await shows(b, 130);
  expect(b.store.cookie).toBe(a.store.cookie);
  expect(b.violations).toEqual([]);
  // It was not sent everything that it had missed.
  expect(b.pokes - pokes).toBeLessThan(30);
});

test('a large poke is on its way before the view record is written, and is taken in only if it is', async () => {
  await db.query(
    `INSERT INTO item SELECT $1 || '-' || k || i, $1 || k, i, '' FROM generate_series(1, 2000) i, unnest('{a,b}'::text[]) k`,
    [grp],
  );
  await untilServed(daemon, 'SELECT count(*) = 2000 FROM item WHERE grp = ?', `${grp}b`);
  await using a = await open(want(put('q')));
  await got(a, 'q');
  const instances = `"${db.appID}_0/cvr".instances WHERE "clientGroupID" = $1`;
  const other = await db.pool.connect();
  const begun = () => a.messages.some(([type], i) => i >= seen && type === 'pokePart');
  const ended = () => a.messages.some(([type], i) => i >= seen && type === 'pokeEnd');
  let seen = a.messages.length;
  try {
    await other.query('BEGIN');
    await other.query(`SELECT FROM ${instances} FOR UPDATE`, [a.clientGroupID]);
    a.send('changeDesiredQueries', {desiredQueriesPatch: [put('qa', {group: `${grp}a`})]});
    await a.until(begun, 'the rows are on their way');
    expect(ended()).toBe(false);
    expect(a.store.rows.size).toBe(2);
    await other.query('COMMIT');
    await a.until(() => a.store.rows.size === 2002, 'the rows are there');
    expect(a.messages.filter(([type], i) => i >= seen && type === 'pokeStart')).toHaveLength(1);

    seen = a.messages.length;
    await other.query('BEGIN');
    await other.query(`SELECT FROM ${instances} FOR UPDATE`, [a.clientGroupID]);
    a.send('changeDesiredQueries', {desiredQueriesPatch: [put('qb', {group: `${grp}b`})]});
    await a.until(begun, 'more rows are on their way');
    await other.query(
      `UPDATE ${instances.replace(' WHERE', ` SET owner = 'other', "grantedAt" = now() + interval '1 hour' WHERE`)}`,
      [a.clientGroupID],
    );
    await other.query('COMMIT');
  } finally {
    other.release();
  }
  await a.untilClosed();
  expect(a.error?.kind).toBe('Rehome');
  expect(ended()).toBe(false);
  expect(a.store.rows.size).toBe(2002);
  expect(a.violations).toEqual([]);
});
