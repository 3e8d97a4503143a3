import pg from 'pg';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {EMPTY} from '../../src/cvr/version.ts';
import type {ProtocolError} from '../../src/protocol/error-body.ts';
import type {TestDatabase} from '../helpers/postgres.ts';
import {until} from '../helpers/until.ts';
import {CVR, cvrDatabase, query, rows, server, stored, update} from './helpers.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await cvrDatabase();
});
afterAll(() => db[Symbol.asyncDispose]());

const refusal = (promise: Promise<unknown>): Promise<{kind: string; message: string}> =>
  promise.then(
    () => Promise.reject(new Error('was not refused')),
    (error: ProtocolError) => error.body,
  );

test('of two updates from one version the second is refused, and leaves nothing', async () => {
  const {store} = server(db, 'T1');
  const other = server(db, 'T1').store;
  await store.commit(update('race', '00', '00:01', {newClients: ['c1']}));
  const outcomes = await Promise.allSettled([
    store.commit(update('race', '00:01', '0a', {newClients: ['a']})),
    other.commit(update('race', '00:01', '0b', {newClients: ['b']})),
  ]);
  expect(outcomes.map(({status}) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const winner = outcomes[0]!.status === 'fulfilled' ? ['0a', 'a'] : ['0b', 'b'];
  const {rows: instances} = await db.query(
    `SELECT version FROM ${CVR}.instances WHERE "clientGroupID" = 'race'`,
  );
  const {rows: clients} = await db.query(
    `SELECT "clientID" FROM ${CVR}.clients WHERE "clientGroupID" = 'race' ORDER BY 1`,
  );
  expect(instances).toEqual([{version: winner[0]}]);
  expect(clients.map(({clientID}) => clientID)).toEqual([winner[1], 'c1'].sort());
});

test('of two first updates of a group the second is refused', async () => {
  const outcomes = await Promise.allSettled(
    ['T1', 'T2'].map(task =>
      server(db, task).store.commit(update('first', '00', '00:01', {newClients: [task]})),
    ),
  );
  expect(outcomes.map(({status}) => status).sort()).toEqual(['fulfilled', 'rejected']);
});

test('a group that is refused does not keep its neighbours in the transaction from being written', async () => {
  const {store} = server(db, 'T1');
  await store.commit(update('bad', '00', '00:01'));
  const before = store.commits;
  const [good, bad, late] = await Promise.allSettled([
    store.commit(update('good', '00', '0a', {rows: [rows({id: 'i1', version: '08'})]})),
    store.commit(update('bad', '00:07', '0a', {rows: [rows({id: 'i1', version: '08'})]})),
    store.commit(update('late', '00', '0a', {rows: [rows({id: 'i1', version: '08'})]})),
  ]);
  expect([good!.status, bad!.status, late!.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(store.commits - before).toBe(1);
  expect((await stored(db, 'bad')).rows).toEqual([]);
  expect((await stored(db, 'late')).rows).toHaveLength(1);
});

test('an update that PostgreSQL refuses fails alone', async () => {
  const {store} = server(db, 'T1');
  const outcomes = await Promise.allSettled([
    store.commit(update('sound', '00', '0a')),
    store.commit(
      update('broken', '00', '0a', {
        desires: [{clientID: 'c', hash: 'no such query', ttlMs: 1, inactivatedAtMs: null, deleted: false}],
      }),
    ),
  ]);
  expect(outcomes.map(({status}) => status)).toEqual(['fulfilled', 'rejected']);
});

test('ownership moves forward in connect time only; the loser is sent elsewhere', async () => {
  const [one, two] = [server(db, 'T1'), server(db, 'T2')];
  await one.store.commit(update('own', '00', '00:01', {connectTimeMs: 2000}));
  // An older connection elsewhere does not get it.
  expect(await refusal(two.loader.load('own', 1000))).toMatchObject({kind: 'Rehome', maxBackoffMs: 0});
  // A newer one does, and from then on the first server cannot write.
  await two.loader.load('own', 3000);
  expect(await refusal(one.store.commit(update('own', '00:01', '0a', {connectTimeMs: 2000})))).toMatchObject({
    kind: 'Rehome',
    message: expect.stringContaining('served elsewhere'),
  });
  await two.store.commit(update('own', '00:01', '0b', {connectTimeMs: 3000}));
  // Its client comes back to it later: it may take the record again.
  await one.loader.load('own', 4000);
  await one.store.commit(update('own', '0b', '0c', {connectTimeMs: 4000}));
});

test('a change of references alone keeps both versions of a row; a tombstone keeps its row version', async () => {
  const {store} = server(db, 'T1');
  await store.commit(
    update('refs', '00', '0a', {rows: [rows({id: 'i1', version: '08'}, {id: 'i2', version: '09'})]}),
  );
  await store.commit(
    update('refs', '0a', '0b', {
      rows: [rows({id: 'i1', version: '', queries: ['q1', 'q2']}, {id: 'i2', version: null})],
    }),
  );
  expect(await stored(db, 'refs')).toEqual({
    rowsVersion: '0b',
    rows: [
      {id: 'i1', rowVersion: '08', patchVersion: '0a', refCounts: {q1: 1, q2: 1}},
      {id: 'i2', rowVersion: '09', patchVersion: '0b', refCounts: null},
    ],
  });
});

test('what was written is what is loaded', async () => {
  const {store, loader} = server(db, 'T1');
  const schema = {tables: {issue: {columns: {id: {type: 'string' as const}}, primaryKey: ['id']}}};
  await store.commit(
    update('load', '00', '0a', {
      clientSchema: schema,
      profileID: 'p1',
      ttlClockMs: 12_345,
      newClients: ['c1', 'c2', 'c3'],
      queries: [query('q1', '0a'), query('q2', null), query('q3', '0a')],
      desires: [
        {clientID: 'c1', hash: 'q1', ttlMs: 1000, inactivatedAtMs: null, deleted: false},
        {clientID: 'c2', hash: 'q1', ttlMs: 2000, inactivatedAtMs: 500, deleted: true},
        {clientID: 'c1', hash: 'q2', ttlMs: 3000, inactivatedAtMs: null, deleted: true},
      ],
    }),
  );
  await store.commit(
    update('load', '0a', '0a:01', {
      ttlClockMs: 20_000,
      deletedClients: ['c3'],
      queries: [query('q3', '0a:01', true)],
    }),
  );
  const cvr = await loader.load('load', 1000);
  expect(cvr).toMatchObject({
    version: {state: '0a', config: 1},
    clientSchema: schema,
    profileID: 'p1',
    ttlClockMs: 20_000,
    replicaVersion: '01',
  });
  expect([...cvr.clients].sort()).toEqual(['c1', 'c2']);
  expect([...cvr.queries.keys()].sort()).toEqual(['q1', 'q2']);
  expect(Object.fromEntries(cvr.queries.get('q1')!.desires)).toEqual({
    c1: {ttlMs: 1000, inactivatedAtMs: null, deleted: false},
    c2: {ttlMs: 2000, inactivatedAtMs: 500, deleted: true},
  });
  // Deleted without a time: it was cleared, nothing is left of it.
  expect(cvr.queries.get('q2')).toMatchObject({patchVersion: null, desires: new Map()});
});

test('a group whose id PostgreSQL refuses is not loaded; others that are read with it are', async () => {
  const {store, loader} = server(db, 'T1');
  await store.commit(update('with a bad neighbour', '00', '0a'));
  const outcomes = await Promise.allSettled(
    ['with a bad neighbour', 'NUL \0', 'new'].map(id => loader.load(id, 1000)),
  );
  expect(outcomes.map(({status}) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
});

test('catch-up tells what changed after a version: rows by name, got and desired queries', async () => {
  const {store, catchUps} = server(db, 'T1');
  await store.commit(
    update('catch', '00', '0a', {
      newClients: ['c1'],
      queries: [query('q1', '0a'), query('q2', '0a')],
      desires: [{clientID: 'c1', hash: 'q1', ttlMs: 1, inactivatedAtMs: null, deleted: false}],
      rows: [rows({id: 'i1', version: '08'}, {id: 'i2', version: '09'}, {id: 'i3', version: '09'})],
    }),
  );
  await store.commit(
    update('catch', '0a', '0b', {
      rows: [rows({id: 'i1', version: '0b'}, {id: 'i3', version: '', queries: ['q2']})],
    }),
  );
  await store.commit(
    update('catch', '0b', '0b:01', {
      queries: [query('q2', '0b:01', true)],
      desires: [{clientID: 'c1', hash: 'q1', ttlMs: 1, inactivatedAtMs: 9, deleted: true}],
      rows: [rows({id: 'i2', version: null})],
    }),
  );
  const at = {state: '0b', config: 1};
  const since = async (state: string, config: number) => {
    const {rows: names, got, desired} = await catchUps.read('catch', {state, config}, at);
    return {rows: names.map(id => id.split('\0')[1]).sort(), got, desired};
  };
  expect(await since('0a', 0)).toEqual({
    rows: ['{"id":"i1"}', '{"id":"i2"}'],
    got: [{op: 'del', hash: 'q2'}],
    desired: {c1: [{op: 'del', hash: 'q1'}]},
  });
  expect(await since('0b', 0)).toMatchObject({rows: ['{"id":"i2"}'], got: [{op: 'del', hash: 'q2'}]});
  expect(await since('0b', 1)).toEqual({rows: [], got: [], desired: {}});
  expect(
    await refusal(catchUps.read('catch', {state: '0a', config: 0}, {state: '0b', config: 0})),
  ).toMatchObject({kind: 'Rehome'});
  // An index leads to them, however many rows the group has.
  const client = await db.pool.connect();
  await client.query('SET enable_seqscan = off');
  const plan = await client.query(
    `EXPLAIN SELECT 1 FROM ${CVR}.rows WHERE "clientGroupID" = 'catch' AND "patchVersion" COLLATE "C" > '0a'`,
  );
  client.release(true);
  expect(JSON.stringify(plan.rows)).toContain('row_patch_version_of_group');
});

test('signs of life write clock and time of groups that are still ours, and of no others', async () => {
  const [one, two] = [server(db, 'T1'), server(db, 'T2')];
  await one.store.commit(update('mine', '00', '0a'));
  await two.store.commit(update('theirs', '00', '0a'));
  await db.query(
    `UPDATE ${CVR}.instances SET "lastActive" = 'epoch' WHERE "clientGroupID" IN ('mine', 'theirs')`,
  );
  await one.store.touch([
    {clientGroupID: 'mine', ttlClockMs: 77},
    {clientGroupID: 'theirs', ttlClockMs: 77},
  ]);
  const {rows: found} = await db.query(
    `SELECT "clientGroupID" AS g, "ttlClock", "lastActive" > 'epoch' AS alive FROM ${CVR}.instances
     WHERE "clientGroupID" IN ('mine', 'theirs') ORDER BY 1`,
  );
  expect(found).toEqual([
    {g: 'mine', ttlClock: 77, alive: true},
    {g: 'theirs', ttlClock: 0, alive: false},
  ]);
});

test('signs of life lock records in the order in which commits do, and so never dead-lock with them', async () => {
  const {store} = server(db, 'T1');
  for (const g of ['order-b', 'order-a']) await store.commit(update(g, '00', '0a'));
  const [one, other] = [await db.pool.connect(), await db.pool.connect()];
  const lock = (g: string, mode = '') =>
    `SELECT FROM ${CVR}.instances WHERE "clientGroupID" = '${g}' FOR UPDATE ${mode}`;
  try {
    await one.query('BEGIN');
    await one.query(lock('order-a'));
    const touched = store.touch(
      ['order-b', 'order-a'].map(clientGroupID => ({clientGroupID, ttlClockMs: 5})),
    );
    await until(async () => {
      const {rows: waiting} = await other.query(
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%${CVR}%zerostreamRowSets%'`,
      );
      return waiting.length > 0;
    }, 'the sign of life waits for the first of the records');
    await other.query(lock('order-b', 'NOWAIT'));
    await one.query('COMMIT');
    await touched;
  } finally {
    one.release();
    other.release();
  }
});

test('an unreachable database asks the clients to come back', async () => {
  const pool = new pg.Pool({connectionString: 'postgres://postgres@127.0.0.1:1/none'});
  const {store, loader, catchUps} = server({...db, pool}, 'T1');
  const elsewhere = {kind: 'ServerOverloaded', minBackoffMs: 1000};
  expect(await refusal(store.commit(update('gone', '00', '0a')))).toMatchObject(elsewhere);
  expect(await refusal(loader.load('gone', 1))).toMatchObject(elsewhere);
  expect(await refusal(catchUps.read('gone', EMPTY, EMPTY))).toMatchObject(elsewhere);
  await pool.end();
});

test('sets of one row without a version or references, and names that hold what stands between rows, arrive whole', async () => {
  const {store, catchUps} = server(db, 'T1');
  const odd = ['a\x1fb', 'a\x1eb', 'plain', 'a,b"c\\'];
  const set = {
    tables: odd,
    keys: odd.map(name => JSON.stringify({id: name})),
    rowVersions: odd.map(() => '08'),
    refCounts: odd.map(() => '{"q":1}'),
  };
  await store.commit(update('odd', '00', '0a', {rows: [set]}));
  const tombstone = {tables: ['plain'], keys: ['{"id":"plain"}'], rowVersions: [''], refCounts: [null]};
  const reference = {...tombstone, tables: [odd[0]!], keys: [set.keys[0]!], refCounts: ['{"q":1,"r":1}']};
  await store.commit(update('odd', '0a', '0b', {rows: [tombstone, reference]}));
  const {rows: found} = await db.query(
    `SELECT "table", "rowKey"->>'id' AS id, "rowVersion" AS v, "patchVersion" AS p, "refCounts" AS refs FROM ${CVR}.rows
     WHERE "clientGroupID" = 'odd'`,
  );
  const row = (name: string, p: string, refs: object | null) => ({table: name, id: name, v: '08', p, refs});
  expect(found.sort((a, b) => (a.table < b.table ? -1 : 1))).toEqual(
    [
      row(odd[0]!, '0a', {q: 1, r: 1}),
      row(odd[1]!, '0a', {q: 1}),
      row('plain', '0b', null),
      row(odd[3]!, '0a', {q: 1}),
    ].sort((a, b) => (a.table < b.table ? -1 : 1)),
  );
  expect((await catchUps.read('odd', {state: '0a', config: 0}, {state: '0b', config: 0})).rows).toEqual([
    'plain\0{"id":"plain"}',
  ]);
});
