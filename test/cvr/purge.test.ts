import pino from 'pino';
import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {type PurgeRound, purgeInactive, purgeRound} from '../../src/cvr/purge.ts';
import type {ProtocolError} from '../../src/protocol/error-body.ts';
import type {TestDatabase} from '../helpers/postgres.ts';
import {until} from '../helpers/until.ts';
import {CVR, cvrDatabase, many, query, rows, SHARD, server, update} from './helpers.ts';

let db: TestDatabase;
beforeEach(async () => {
  db = await cvrDatabase();
});
afterEach(() => db[Symbol.asyncDispose]());

const HOUR_MS = 3_600_000;
const log = pino({level: 'silent'});

const inactive = async (count: number, hours = 49) => {
  const {store} = server(db, 'T1');
  const ids = Array.from({length: count}, (_, i) => `g${String(i).padStart(3, '0')}`);
  await Promise.all(
    ids.map(id =>
      store.commit(
        update(id, '00', '0a', {
          profileID: `p-${id}`,
          newClients: ['c1'],
          queries: [query('q1', '0a')],
          desires: [{clientID: 'c1', hash: 'q1', ttlMs: 1, inactivatedAtMs: null, deleted: false}],
          rows: [rows({id: 'i1', version: '08'})],
        }),
      ),
    ),
  );
  await db.query(`UPDATE ${CVR}.instances SET "lastActive" = now() - $1 * interval '1 hour'`, [hours]);
  return ids;
};

const count = async (table: string, where = 'TRUE'): Promise<number> =>
  (await db.query(`SELECT count(*)::int AS n FROM ${CVR}.${table} WHERE ${where}`)).rows[0].n;

test('an inactive group loses everything but its tombstone, and its client is told so', async () => {
  await inactive(2);
  const own = server(db, 'T1');
  await own.store.commit(update('alive', '00', '0a', {rows: [rows({id: 'i1', version: '08'})]}));
  const round = await purgeRound(db.pool, {shard: SHARD, inactivityMs: 48 * HOUR_MS}, 25);
  expect(round).toEqual({purged: 2, remaining: 0});
  for (const table of ['clients', 'queries', 'desires']) expect(await count(table)).toBe(0);
  for (const table of ['rows', '"rowsVersion"'])
    expect(await count(table, `"clientGroupID" <> 'alive'`)).toBe(0);
  expect(await count('rows')).toBe(1);
  const {rows: tombstones} = await db.query(
    `SELECT version, owner, "profileID" FROM ${CVR}.instances WHERE deleted ORDER BY 1, 3`,
  );
  expect(tombstones).toEqual([
    {version: '00', owner: null, profileID: 'p-g000'},
    {version: '00', owner: null, profileID: 'p-g001'},
  ]);
  await expect(own.loader.load('g000', Date.now())).rejects.toMatchObject({
    body: {kind: 'ClientNotFound'},
  } satisfies {body: Partial<ProtocolError['body']>});
  // A server that still believes in it cannot write.
  await expect(own.store.commit(update('g000', '0a', '0b'))).rejects.toMatchObject({body: {kind: 'Rehome'}});
});

test('journaled rows go with their group', async () => {
  const {store, journal} = server(db, 'T1');
  journal.added = () => {};
  await store.commit(update('big', '00', '0a', {rows: [many(200, '08')]}));
  await db.query(`UPDATE ${CVR}.instances SET "lastActive" = 'epoch'`);
  await purgeRound(db.pool, {shard: SHARD, inactivityMs: HOUR_MS}, 25);
  await journal.replay('big');
  expect(await count('rows')).toBe(0);
  expect(await count('"rowsVersion"')).toBe(0);
});

test('a group that is being written is passed over', async () => {
  await inactive(2);
  const writer = await db.pool.connect();
  await writer.query('BEGIN');
  await writer.query(`SELECT 1 FROM ${CVR}.instances WHERE "clientGroupID" = 'g000' FOR UPDATE`);
  expect(await purgeRound(db.pool, {shard: SHARD, inactivityMs: HOUR_MS}, 25)).toEqual({
    purged: 1,
    remaining: 1,
  });
  await writer.query('COMMIT');
  writer.release();
  expect(await count('instances', `deleted AND "clientGroupID" = 'g001'`)).toBe(1);
});

test('tombstones go after a month', async () => {
  await inactive(1, 30 * 24);
  await purgeRound(db.pool, {shard: SHARD, inactivityMs: HOUR_MS}, 25);
  expect(await count('instances', 'deleted')).toBe(1);
  await db.query(`UPDATE ${CVR}.instances SET "lastActive" = now() - interval '32 days'`);
  await purgeRound(db.pool, {shard: SHARD, inactivityMs: HOUR_MS}, 25);
  expect(await count('instances')).toBe(0);
});

/** Only rxjs' timers are told what time it is; those of the connections go on. */
const pace = async (
  initialBatchSize: number,
  work: (rounds: PurgeRound[], advance: (ms: number) => void) => Promise<void>,
) => {
  vi.useFakeTimers({toFake: ['setInterval', 'clearInterval']});
  const rounds: PurgeRound[] = [];
  const subscription = purgeInactive(db.pool, log, {
    shard: SHARD,
    inactivityMs: HOUR_MS,
    initialIntervalMs: 60_000,
    initialBatchSize,
  }).subscribe(round => rounds.push(round));
  try {
    await work(rounds, ms => vi.advanceTimersByTime(ms));
  } finally {
    subscription.unsubscribe();
    vi.useRealTimers();
  }
};

test('rounds are further and further apart while there is nothing to purge, up to 16 minutes', () =>
  pace(25, async (rounds, advance) => {
    for (const [i, seconds] of [60, 120, 240, 480, 960, 960].entries()) {
      advance(seconds * 1000 - 1);
      expect(rounds).toHaveLength(i);
      advance(1);
      await until(() => rounds.length === i + 1, `round ${i + 1}`);
    }
  }));

test('batches grow while the backlog does, and the pace is back to the first when it is found', async () => {
  await inactive(9);
  await pace(2, async (rounds, advance) => {
    for (let i = 1; i <= 3; i++) {
      advance(60_000);
      await until(() => rounds.length === i, `round ${i}`);
    }
    expect(rounds).toEqual([
      {purged: 2, remaining: 7},
      {purged: 4, remaining: 3},
      {purged: 3, remaining: 0},
    ]);
    // Nothing is left: the next one takes its time.
    advance(119_999);
    expect(rounds).toHaveLength(3);
    advance(1);
    await until(() => rounds.length === 4, 'round 4');
  });
});

test('a batch size of 0 switches purging off', async () => {
  await inactive(1);
  const rounds: PurgeRound[] = [];
  let completed = false;
  purgeInactive(db.pool, log, {
    shard: SHARD,
    inactivityMs: 0,
    initialIntervalMs: 1,
    initialBatchSize: 0,
  }).subscribe({
    next: round => rounds.push(round),
    complete: () => (completed = true),
  });
  expect(completed).toBe(true);
  expect(rounds).toEqual([]);
  expect(await count('instances', 'NOT deleted')).toBe(1);
});
