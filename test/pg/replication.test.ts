import {existsSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Subscription} from 'rxjs';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {replicator} from '../../pipelines/replicator.ts';
import type {ZeroConfig} from '../../src/config/config.ts';
import {StageBoard} from '../../src/flow/stage.ts';
import {silentLog} from '../../src/observe/log.ts';
import {openReader} from '../../src/replica/open.ts';
import type {ReplicatorEvent} from '../../src/replication/events.ts';
import {testConfig} from '../helpers/config.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {Random} from '../helpers/random.ts';
import {until} from '../helpers/until.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zs-replication-'));
});
afterEach(() => rm(dir, {recursive: true, force: true}));

const DDL = `
  CREATE TABLE a (id int PRIMARY KEY, t text, big text, n numeric);
  CREATE TABLE b (x text, y int, v jsonb, PRIMARY KEY (x, y));
  CREATE TABLE f (id int NOT NULL UNIQUE, v text); ALTER TABLE f REPLICA IDENTITY FULL;
  CREATE TABLE keyless (v int);
  INSERT INTO a SELECT i, 't' || i, repeat(md5(i::text), 400), i FROM generate_series(1, 50) i;`;

const start = (config: ZeroConfig) => {
  const events: ReplicatorEvent[] = [];
  const errors: unknown[] = [];
  const running = replicator({config, log: silentLog, board: new StageBoard()});
  const subscription: Subscription = running.events.subscribe({
    next: e => events.push(e),
    error: e => errors.push(e),
  });
  return {events, errors, inspect: running.inspect, stop: () => subscription.unsubscribe()};
};

/** The replica's rows equal upstream's once it has caught up. */
const converges = async (db: TestDatabase, config: ZeroConfig) => {
  const wanted = async () =>
    (
      await db.query(`SELECT (SELECT json_agg(json_build_array(id, t, big, n::float8) ORDER BY id) FROM a) AS a,
        (SELECT json_agg(json_build_array(x, y, v::text) ORDER BY x COLLATE "C", y) FROM b) AS b,
        (SELECT json_agg(json_build_array(id, v) ORDER BY id) FROM f) AS f,
        (SELECT json_agg(v ORDER BY v) FROM keyless) AS k`)
    ).rows[0];
  const got = () => {
    if (!existsSync(config.replica.file)) return null; // Being rebuilt.
    const replica = openReader(config.replica.file);
    try {
      const rows = (sql: string) => {
        const list = replica.prepare(sql).raw().all() as unknown[][];
        return list.length ? list : null;
      };
      return {
        a: rows('SELECT id, t, big, n FROM a ORDER BY id'),
        b: rows('SELECT x, y, v FROM b ORDER BY x, y'),
        f: rows('SELECT id, v FROM f ORDER BY id'),
        k: rows('SELECT v FROM keyless ORDER BY v')?.flat() ?? null,
      };
    } finally {
      replica.close();
    }
  };
  const target = await wanted();
  await until(
    () => JSON.stringify(got()) === JSON.stringify(target),
    'the replica equals upstream',
    20_000,
  ).catch(() => expect(got()).toEqual(target));
};

const randomStatement = (random: Random): string => {
  const id = 1 + random.int(60);
  return random.pick([
    `INSERT INTO a VALUES (${id}, 'new', repeat('x', 9000), 1.5) ON CONFLICT (id) DO UPDATE SET t = 'upserted'`,
    `UPDATE a SET t = t || '!' WHERE id = ${id}`,
    `UPDATE a SET id = id + 1000 WHERE id = ${id} AND NOT EXISTS (SELECT 1 FROM a z WHERE z.id = a.id + 1000)`,
    `DELETE FROM a WHERE id = ${id}`,
    `INSERT INTO b VALUES ('k${id % 5}', ${id}, '{"n": ${id}}') ON CONFLICT DO NOTHING`,
    `UPDATE b SET y = y + 100 WHERE y = ${id} AND NOT EXISTS (SELECT 1 FROM b z WHERE z.x = b.x AND z.y = b.y + 100)`,
    `DELETE FROM b WHERE x = 'k${id % 5}'`,
    `INSERT INTO f VALUES (${id}, 'f') ON CONFLICT (id) DO UPDATE SET v = 'g${id}'`,
    `DELETE FROM f WHERE id < ${id - 40}`,
    `INSERT INTO keyless VALUES (${id})`,
    ...(random.chance(0.05) ? ['TRUNCATE b'] : []),
  ]);
};

test('random transactions arrive, over restarts at random moments', async () => {
  const random = new Random(Date.now() % 100_000);
  await using db = await createDatabase(DDL);
  const config = testConfig(db, dir);
  for (let round = 0; round < 4; round++) {
    const running = start(config);
    await until(() => running.events.some(e => e.type === 'version-ready'), 'streaming');
    for (let n = 0; n < 25; n++)
      await db.query(
        `BEGIN; ${Array.from({length: 1 + random.int(6)}, () => randomStatement(random)).join('; ')}; COMMIT`,
      );
    if (round % 2) await converges(db, config);
    expect(running.errors).toEqual([]);
    expect(running.events.filter(e => e.type === 'recovery')).toEqual([]);
    running.stop();
  }
  const running = start(config);
  await until(() => running.events.some(e => e.type === 'version-ready'), 'streaming');
  await converges(db, config);
  running.stop();
}, 60_000);

test('an unchanged TOAST value survives an update of another column', async () => {
  await using db = await createDatabase(DDL);
  const config = testConfig(db, dir);
  const running = start(config);
  await until(() => running.events.some(e => e.type === 'version-ready'), 'streaming');
  await db.query(
    `ALTER TABLE a ALTER big SET STORAGE EXTERNAL; UPDATE a SET big = repeat('y', 20000) WHERE id = 1`,
  );
  await db.query(`UPDATE a SET t = 'only this' WHERE id = 1`);
  await converges(db, config);
  running.stop();
});

test('the slot is acknowledged when changes are durable in replica and change log', async () => {
  await using db = await createDatabase(DDL);
  const config = testConfig(db, dir);
  const running = start(config);
  await until(() => running.events.some(e => e.type === 'version-ready'), 'streaming');
  await db.query(`INSERT INTO a VALUES (100, 'x', 'y', 1)`);
  const {rows} = await db.query('SELECT pg_current_wal_lsn()::text AS lsn');
  const confirmed = async () =>
    (
      await db.query(
        `SELECT confirmed_flush_lsn >= $1::pg_lsn AS ok FROM pg_replication_slots WHERE database = current_database()`,
        [rows[0].lsn],
      )
    ).rows[0]?.ok === true;
  await until(confirmed, 'the slot advances');
  const log = await db.query(
    `SELECT change->>'tag' AS tag FROM "${db.appID}_0/cdc"."changeLog" ORDER BY watermark, pos`,
  );
  expect(log.rows.map(row => row.tag)).toEqual(['begin', 'commit', 'begin', 'insert', 'commit']);
  running.stop();
});

test('a changed table is followed and a missing slot leads to a rebuild with a reason', async () => {
  await using db = await createDatabase(DDL);
  const config = testConfig(db, dir);
  const first = start(config);
  await until(() => first.events.some(e => e.type === 'version-ready'), 'streaming');
  await db.query('ALTER TABLE a ADD COLUMN extra int; INSERT INTO a VALUES (200, NULL, NULL, NULL, 7)');
  await converges(db, config);
  expect(first.events.filter(e => e.type === 'recovery')).toEqual([]);
  first.stop();
  await until(
    async () =>
      (await db.query(`SELECT 1 FROM pg_replication_slots WHERE database = current_database() AND active`))
        .rowCount === 0,
    'the slot is free',
  );
  await db.query(
    `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()`,
  );
  const second = start(config);
  await until(() => second.events.some(e => e.type === 'recovery'), 'the missing slot is noticed');
  expect(second.events.find(e => e.type === 'recovery')).toMatchObject({code: 'R001'});
  await converges(db, config);
  second.stop();
}, 60_000);
