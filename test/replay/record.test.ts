import {existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {formatLsn, parseLsn} from '../../src/pg/lsn.ts';
import {ensureShard} from '../../src/pg/shard.ts';
import {openReader} from '../../src/replica/open.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {until} from '../helpers/until.ts';
import {fixtureReplay} from './io.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'zs-record-'));
});
afterEach(() => rmSync(root, {recursive: true, force: true}));

const DDL = `
  CREATE TABLE tick (n int PRIMARY KEY, v text);
  CREATE TABLE twin (n int PRIMARY KEY, big text);
  CREATE PUBLICATION ours FOR TABLE tick, twin;
  CREATE PUBLICATION theirs FOR TABLE twin`;

/** Writes transactions with consecutive numbers into both tables until told to stop. */
const startWriter = (db: TestDatabase) => {
  let stopped = false;
  const done = (async () => {
    for (let n = 1; !stopped; n++)
      await db.query(
        `BEGIN; INSERT INTO tick VALUES (${n}, 'v'); INSERT INTO twin VALUES (${n}, repeat('${n}', 200)); UPDATE tick SET v = 'w' WHERE n = ${n}; COMMIT`,
      );
  })();
  return {
    stop: () => {
      stopped = true;
      return done;
    },
  };
};

const slots = async (db: TestDatabase) =>
  (await db.query('SELECT slot_name FROM pg_replication_slots WHERE database = current_database()')).rows;

/** Nothing lost or doubled between snapshot and stream, and only whole transactions. */
const expectWhole = async (dir: string): Promise<number> => {
  const keep = join(root, 'kept.db');
  const replayed = await fixtureReplay('--keep', keep, dir);
  expect(replayed.err + replayed.out).toContain('1 as expected');
  const replica = openReader(keep);
  const count = replica.prepare(`SELECT count(*) FROM tick WHERE v = 'w'`).pluck().get() as number;
  for (const table of ['tick', 'twin'])
    expect(replica.prepare(`SELECT count(*), max(n) FROM ${table}`).raw().get()).toEqual([count, count]);
  replica.close();
  return count;
};

test('records amid writes, up to a position; what it replays to has every transaction once', async () => {
  await using db = await createDatabase(DDL);
  const writer = startWriter(db);
  const dir = join(root, 'wal', 'busy');
  try {
    const {rows} = await db.query(`SELECT pg_current_wal_lsn()::text AS lsn`);
    const until = formatLsn(parseLsn(rows[0].lsn) + 400_000n);
    const {code, out, err} = await fixtureReplay(
      ...['record', '--upstream', db.url, '--publication', 'ours', '--out', dir, '--until-lsn', until],
      ...['--about', 'a busy table'],
    );
    expect(err).toBe('');
    expect(code, out).toBe(0);
    expect(out).toContain('it has reached --until-lsn');
  } finally {
    await writer.stop();
  }
  expect(JSON.parse(readFileSync(join(dir, 'case.json'), 'utf8'))).toMatchObject({
    format: 1,
    about: 'a busy table',
    publications: ['ours'],
  });
  expect(await expectWhole(dir)).toBeGreaterThan(0);
  expect(await slots(db)).toEqual([]);
});

test('ends by size, between two transactions', async () => {
  await using db = await createDatabase(DDL);
  const writer = startWriter(db);
  const dir = join(root, 'small');
  try {
    const {code, out} = await fixtureReplay(
      ...[
        'record',
        '--upstream',
        db.url,
        '--publication',
        'ours,theirs',
        '--out',
        dir,
        '--max-bytes',
        '20000',
      ],
    );
    expect(code, out).toBe(0);
    expect(out).toContain('it has reached --max-bytes');
  } finally {
    await writer.stop();
  }
  const {size} = statSync(join(dir, 'wal.ndjson'));
  expect(size).toBeLessThanOrEqual(20_000);
  expect(size).toBeGreaterThan(15_000);
  await expectWhole(dir);
  expect(await slots(db)).toEqual([]);
});

test('ends by time, though nothing comes', async () => {
  await using db = await createDatabase(
    `${DDL}; INSERT INTO tick VALUES (1, 'w'); INSERT INTO twin VALUES (1, 'x')`,
  );
  const dir = join(root, 'quiet');
  const {code, out} = await fixtureReplay(
    ...['record', '--upstream', db.url, '--publication', 'ours', '--out', dir, '--seconds', '0.2'],
  );
  expect(code, out).toBe(0);
  expect(out).toContain('its time is over: 0 transactions');
  expect(await expectWhole(dir)).toBe(1);
});

test('schema changes announced by event triggers are replayed, with rows right behind them', async () => {
  await using db = await createDatabase(`CREATE TABLE t (id int PRIMARY KEY);
    CREATE PUBLICATION p FOR TABLES IN SCHEMA public`);
  const client = await db.pool.connect();
  const {publications} = await ensureShard(client, {appID: db.appID, shardNum: 0, publications: ['p']});
  const dir = join(root, 'ddl');
  const recording = fixtureReplay(
    ...[
      'record',
      '--upstream',
      db.url,
      '--publication',
      publications.join(),
      '--out',
      dir,
      '--max-bytes',
      '200000',
    ],
  );
  let ended = false;
  void recording.finally(() => {
    ended = true;
  });
  // While the slot is made they would meet a fault of PostgreSQL: the first transaction may bring a table with fewer columns than
  // it had by then.
  await until(() => existsSync(join(dir, 'wal.ndjson')), 'the slot is there');
  // Without anything between announcement and row, PostgreSQL may send them the wrong way round.
  for (let i = 0; !ended; i++)
    await client.query(
      `ALTER TABLE t ADD COLUMN c${i} int DEFAULT ${i}; INSERT INTO t (id, c${i}) VALUES (${i}, 7)`,
    );
  client.release();
  const {code, out} = await recording;
  expect(code, out).toBe(0);
  expect(readFileSync(join(dir, 'expect.log.ndjson'), 'utf8')).not.toContain('"fault"');
  expect(readFileSync(join(dir, 'expect.log.ndjson'), 'utf8')).toContain('"tag":"add-column"');
});

test('says what is wrong, and leaves nothing behind', async () => {
  await using db = await createDatabase(DDL);
  const dir = join(root, 'none');
  const record = (...more: string[]) => fixtureReplay('record', '--out', dir, ...more);
  expect(await record('--upstream', db.url, '--publication', 'missing')).toMatchObject({
    code: 2,
    err: 'fixture-replay: U003 There is no publication missing upstream. It has: ours, theirs.\n',
  });
  expect(
    await record('--upstream', 'postgres://u:secret@127.0.0.1:1/x', '--publication', 'ours'),
  ).toMatchObject({code: 2, err: expect.stringMatching(/^fixture-replay: U001 .*nothing listens there/)});
  expect(await record('--publication', 'ours')).toMatchObject({
    code: 2,
    err: expect.stringContaining('--upstream'),
  });
  expect(await record('--upstream', 'postgres://u:se/cret@127.0.0.1:1/x', '--publication', 'ours')).toEqual({
    code: 2,
    out: '',
    err: expect.stringMatching(/^fixture-replay: U001 .* must be a URL such as (?!.*cret)/),
  });
  expect(existsSync(dir)).toBe(false);
  const file = join(root, 'file');
  writeFileSync(file, '');
  expect(
    await fixtureReplay('record', '--upstream', db.url, '--publication', 'ours', '--out', file),
  ).toMatchObject({
    code: 2,
    err: `fixture-replay: T001 The folder ${file} cannot be written (EEXIST); choose another.\n`,
  });
  expect(
    await fixtureReplay(
      'record',
      '--upstream',
      db.url,
      '--publication',
      'ours',
      '--out',
      'fixtures/wal/toast-pg18',
    ),
  ).toMatchObject({code: 2, err: expect.stringContaining('already holds a fixture')});
  expect(await slots(db)).toEqual([]);
});
