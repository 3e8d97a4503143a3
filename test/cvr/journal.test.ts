import {afterAll, beforeAll, expect, test} from 'vitest';
import type {TestDatabase} from '../helpers/postgres.ts';
import {until} from '../helpers/until.ts';
import {CVR, cvrDatabase, many, rows, server, stored, update} from './helpers.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await cvrDatabase();
});
afterAll(() => db[Symbol.asyncDispose]());

/** A server that dies after its commit: what was to be done later never is. */
const dying = (taskID: string) => {
  const own = server(db, taskID);
  own.journal.added = () => {};
  return own;
};

const journaled = async (clientGroupID: string): Promise<number> => {
  const {rows: found} = await db.query(
    `SELECT count(*)::int AS n FROM ${CVR}."zerostreamJournal" WHERE "clientGroupID" = $1`,
    [clientGroupID],
  );
  return found[0].n;
};

test('many rows are journaled with their version and put in afterwards', async () => {
  const {store, journal} = server(db, 'T1');
  await store.commit(update('big', '00', '0a', {rows: [many(500, '08')]}));
  expect(journal.has('big')).toBe(true);
  await until(() => !journal.has('big'), 'the journal is empty');
  const {rows: found, rowsVersion} = await stored(db, 'big');
  expect(rowsVersion).toBe('0a');
  expect(found).toHaveLength(500);
  expect(found[0]).toEqual({id: 'i0', rowVersion: '08', patchVersion: '0a', refCounts: {q1: 1}});
  expect(await journaled('big')).toBe(0);
});

test.each([2, 300])('of %i rows that are alike, each gets what is said of all once', async count => {
  const {store, journal} = server(db, 'T1');
  const group = `alike ${count}`;
  const all = (version: string | null, ...queries: string[]) =>
    rows(...Array.from({length: count}, (_, i) => ({id: `i${i}`, version, queries})));
  const expectEach = async (row: object) => {
    await journal.flush(group);
    const {rows: found} = await stored(db, group);
    expect(found).toHaveLength(count);
    for (const {id, ...rest} of found) expect(rest, id).toEqual(row);
  };
  await store.commit(update(group, '00', '0a', {rows: [all('08', 'q1')]}));
  await expectEach({rowVersion: '08', patchVersion: '0a', refCounts: {q1: 1}});
  await store.commit(update(group, '0a', '0b', {rows: [all('', 'q1', 'q2')]}));
  await expectEach({rowVersion: '08', patchVersion: '0a', refCounts: {q1: 1, q2: 1}});
  await store.commit(update(group, '0b', '0c', {rows: [all(null)]}));
  await expectEach({rowVersion: '08', patchVersion: '0c', refCounts: null});
});

test('a server that dies before the rows are put in loses nothing: the next one replays them', async () => {
  await dying('T1').store.commit(update('crash', '00', '0a', {rows: [many(300, '08')]}));
  expect(await stored(db, 'crash')).toEqual({rows: [], rowsVersion: undefined});
  const {loader, catchUps} = server(db, 'T2');
  const cvr = await loader.load('crash', 2000);
  expect(cvr.version).toEqual({state: '0a', config: 0});
  expect((await loader.rows('crash')).size).toBe(300);
  expect((await catchUps.read('crash', {state: '01', config: 0}, cvr.version)).rows).toHaveLength(300);
  expect(await journaled('crash')).toBe(0);
});

test('records are put in in the order of their versions, however many wait and whoever does it', async () => {
  const {store, journal} = dying('T1');
  journal.has = () => true;
  await store.commit(update('order', '00', '0a', {rows: [many(200, '08')]}));
  await store.commit(
    update('order', '0a', '0b', {rows: [rows({id: 'i0', version: '0b'}, {id: 'i1', version: null})]}),
  );
  await store.commit(update('order', '0b', '0b:01'));
  await store.commit(
    update('order', '0b:01', '0c', {
      rows: [rows({id: 'i0', version: '', queries: ['q1', 'q2']}, {id: 'i2', version: '0c'})],
    }),
  );
  expect(await journaled('order')).toBe(4);
  await Promise.all(['T2', 'T3', 'T4'].map(task => server(db, task).journal.replay('order')));
  const {rows: found, rowsVersion} = await stored(db, 'order');
  expect(rowsVersion).toBe('0c');
  expect(found.filter(({id}) => ['i0', 'i1', 'i2', 'i3'].includes(id))).toEqual([
    {id: 'i0', rowVersion: '0b', patchVersion: '0b', refCounts: {q1: 1, q2: 1}},
    {id: 'i1', rowVersion: '08', patchVersion: '0b', refCounts: null},
    {id: 'i2', rowVersion: '0c', patchVersion: '0c', refCounts: {q1: 1}},
    {id: 'i3', rowVersion: '08', patchVersion: '0a', refCounts: {q1: 1}},
  ]);
});

test('rows that should not be there yet are replaced', async () => {
  const {store, journal} = server(db, 'T1');
  await db.query(`INSERT INTO ${CVR}."rowsVersion" VALUES ('orphans', '01')`);
  await db.query(
    `INSERT INTO ${CVR}.rows VALUES ('orphans', '', 'issue', '{"id": "i3"}', '01', '01', '{"old": 1}')`,
  );
  await store.commit(update('orphans', '00', '0a', {rows: [many(150, '08')]}));
  await journal.flush('orphans');
  const {rows: found} = await stored(db, 'orphans');
  expect(found).toHaveLength(150);
  expect(found.find(({id}) => id === 'i3')).toEqual({
    id: 'i3',
    rowVersion: '08',
    patchVersion: '0a',
    refCounts: {q1: 1},
  });
});

test('while rows wait, later ones of the group wait with them, and other groups do not', async () => {
  const {store, journal} = server(db, 'T1');
  await store.commit(update('busy', '00', '0a', {rows: [many(150, '08')]}));
  await store.commit(update('busy', '0a', '0b', {rows: [rows({id: 'i0', version: '0b'})]}));
  await store.commit(update('calm', '00', '0b', {rows: [rows({id: 'i0', version: '0b'})]}));
  expect((await stored(db, 'calm')).rowsVersion).toBe('0b');
  await journal.flush('busy');
  const {rows: found, rowsVersion} = await stored(db, 'busy');
  expect(rowsVersion).toBe('0b');
  expect(found).toHaveLength(150);
  expect(found.find(({id}) => id === 'i0')).toMatchObject({rowVersion: '0b', patchVersion: '0b'});
});

test('groups that share their rows each get them', async () => {
  const {store, journal} = server(db, 'T1');
  const shared = many(150, '08');
  const few = rows({id: 'i9', version: '08'});
  await Promise.all(['s1', 's2', 's3'].map(id => store.commit(update(id, '00', '0a', {rows: [shared]}))));
  await Promise.all(['s4', 's5'].map(id => store.commit(update(id, '00', '0a', {rows: [few]}))));
  await journal.drain();
  for (const id of ['s1', 's2', 's3']) expect((await stored(db, id)).rows).toHaveLength(150);
  for (const id of ['s4', 's5']) expect((await stored(db, id)).rows).toHaveLength(1);
});

test('rows wait while clients wait for commits, but not for ever', async () => {
  const {store, journal} = server(db, 'T1');
  let asked = 0;
  journal.busy = () => ++asked > 0;
  await store.commit(update('patient', '00', '0a', {rows: [many(150, '08')]}));
  await until(() => asked > 2, 'the journal has put it off');
  expect((await stored(db, 'patient')).rows).toEqual([]);
  await until(async () => (await stored(db, 'patient')).rows.length === 150, 'the rows are in the table');
});

test('a server that leaves tries nothing more when its time is over', async () => {
  const [one, other] = [server(db, 'T1'), server(db, 'T2')];
  let asked = 0;
  one.journal.busy = () => ++asked > 0;
  await one.journal.drain(0);
  await one.store.commit(update('left', '00', '0a', {rows: [many(150, '08')]}));
  // Takes longer than the delay that the first one's rows had.
  await other.store.commit(update('later', '00', '0a', {rows: [many(150, '08')]}));
  await until(() => !other.journal.has('later'), 'the rows of the other are in the table');
  expect(asked).toBe(0);
  expect(one.journal.has('left')).toBe(true);
});
