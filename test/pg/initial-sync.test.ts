import {execFileSync} from 'node:child_process';
import {existsSync, readdirSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {lastValueFrom} from 'rxjs';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {initialSync} from '../../pipelines/initial-sync.ts';
import {StageBoard} from '../../src/flow/stage.ts';
import {silentLog} from '../../src/observe/log.ts';
import {openReader} from '../../src/replica/open.ts';
import {readReplicaState} from '../../src/replica/sync-context.ts';
import {testConfig} from '../helpers/config.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {smallDisk} from '../helpers/small-disk.ts';
import {until} from '../helpers/until.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zs-sync-'));
});
afterEach(() => rm(dir, {recursive: true, force: true}));

const TYPES = `
  CREATE TYPE mood AS ENUM ('sad', 'ok', '1');
  CREATE TYPE print AS ENUM ('007', 'b');
  CREATE TABLE "Types" (id int8 PRIMARY KEY, b bool, i int4, big int8, f float4, n numeric, t text, v varchar(5), u uuid,
    j jsonb, d date, ts timestamp, tz timestamptz, tm time, m mood, p print, ia int4[], ta text[], ma mood[], ja jsonb[],
    by bytea, iv interval, "mixed Case" text) ;
  ALTER TABLE "Types" RENAME COLUMN "mixed Case" TO "mixedCase";
  INSERT INTO "Types" VALUES
    (1, true, -5, 9007199254740993, 0.1, 12.50, E'tab\\tnew\\nline\\\\ "q"', 'abc', '6f1ed0f2-0000-4000-8000-000000000001',
     '1.50', '2020-02-29', '1999-12-31 23:59:59.123456', '2000-01-01 00:00:00+02', '24:00', '1', '007', '{1,NULL,3}',
     ARRAY['a,b','"x"',NULL,''], '{sad,"1"}', ARRAY['{"a": 1}'::jsonb], '\\x00ff', '1 day', 'x'),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'infinity', '-infinity', '0044-03-15 12:00:00+00 BC', NULL, NULL, NULL,
     '{}', '{{a,b},{c,d}}', NULL, NULL, NULL, NULL, NULL);`;

test('every type arrives as the specification says', async () => {
  await using db = await createDatabase(TYPES);
  const config = testConfig(db, dir);
  const done = await lastValueFrom(initialSync({config, log: silentLog, board: new StageBoard()}));
  expect(done.phase).toBe('done');
  const replica = openReader(config.replica.file);
  const {replicaVersion, stateVersion} = readReplicaState(replica);
  replica.defaultSafeIntegers();
  const [one, two] = replica.prepare('SELECT * FROM "Types" ORDER BY id').all() as Record<string, unknown>[];
  const {rows} = await db.query(
    `SELECT (extract(epoch FROM timestamptz '0044-03-15 12:00:00+00 BC') * 1000)::bigint::text AS ms`,
  );
  expect(stateVersion).toBe(replicaVersion);
  expect(one).toEqual({
    id: 1n,
    b: 1n,
    i: -5n,
    big: 9007199254740993n,
    f: 0.1,
    n: 12.5,
    t: 'tab\tnew\nline\\ "q"',
    v: 'abc',
    u: '6f1ed0f2-0000-4000-8000-000000000001',
    j: '1.50',
    d: BigInt(Date.UTC(2020, 1, 29)),
    ts: 946684799123.456,
    tz: BigInt(Date.UTC(1999, 11, 31, 22)),
    tm: 86400000n,
    m: '1',
    p: '007',
    ia: '[1,null,3]',
    ta: '["a,b","\\"x\\"",null,""]',
    ma: '["sad","1"]',
    ja: '[{"a": 1}]',
    by: Buffer.from([0, 255]),
    iv: '1 day',
    mixedCase: 'x',
    _0_version: replicaVersion,
  });
  expect(two).toMatchObject({
    id: 2n,
    b: null,
    d: Number.POSITIVE_INFINITY,
    ts: Number.NEGATIVE_INFINITY,
    tz: BigInt(rows[0].ms),
    ia: '[]',
    ta: '[["a","b"],["c","d"]]',
  });
  replica.close();
});

test('copies many rows and filters as the publication does', async () => {
  await using db = await createDatabase(`
    CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL);
    INSERT INTO item SELECT i, 'name ' || i FROM generate_series(1, 20000) i;
    CREATE PUBLICATION part_of_it FOR TABLE item WHERE (id > 100);`);
  const config = testConfig(db, dir, {app: {id: db.appID, publications: ['part_of_it']}});
  await lastValueFrom(initialSync({config, log: silentLog, board: new StageBoard()}));
  const replica = openReader(config.replica.file);
  expect(replica.prepare('SELECT count(*) AS n, min(id) AS low, max(name) AS high FROM item').get()).toEqual({
    n: 19_900,
    low: 101,
    high: 'name 9999',
  });
  expect(replica.prepare(`SELECT sql FROM sqlite_master WHERE name = 'item_pkey'`).get()).toBeTruthy();
  replica.close();
});

test('a failed sync leaves neither file nor slot behind', async () => {
  // A role that may not read one of the tables: the copy fails in the middle.
  await using db = await createDatabase();
  const role = `limited_${db.name}`;
  await db.query(`CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'secret'; GRANT CREATE ON DATABASE "${db.name}" TO ${role};
    CREATE TABLE good (id int PRIMARY KEY); INSERT INTO good VALUES (1); GRANT SELECT ON good TO ${role};
    CREATE TABLE bad (id int PRIMARY KEY); INSERT INTO bad VALUES (1);
    CREATE PUBLICATION both_of_them FOR TABLE good, bad`);
  const url = new URL(db.url);
  url.username = role;
  url.password = 'secret';
  const config = testConfig({...db, url: url.href}, dir, {
    app: {id: db.appID, publications: ['both_of_them']},
  });
  try {
    await expect(
      lastValueFrom(initialSync({config, log: silentLog, board: new StageBoard()})),
    ).rejects.toThrow(/permission denied for table bad/);
    expect(existsSync(config.replica.file)).toBe(false);
    const slots = () =>
      db.query('SELECT slot_name FROM pg_replication_slots WHERE database = current_database()');
    await until(async () => (await slots()).rows.length === 0, 'the slot is dropped');
    expect(existsSync(`${config.replica.file}.sync-tmp`)).toBe(false);
  } finally {
    await db.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`);
  }
});

test('a disk that is too small for the rows, or for the indexes, ends the sync and leaves nothing behind', async context => {
  await using db = await createDatabase(`
    CREATE TABLE item (id text PRIMARY KEY, name text NOT NULL);
    INSERT INTO item SELECT 'item ' || i, repeat(md5(i::text), 4) FROM generate_series(1, 50000) i;
    CREATE INDEX ON item (name);`);
  // Some 8 MB of rows and as many of their indexes.
  for (const megabytes of [4, 12]) {
    const disk = await smallDisk(megabytes);
    if (disk === null) return context.skip('mounting a small disk takes root');
    try {
      const config = testConfig(db, disk);
      await expect(
        lastValueFrom(initialSync({config, log: silentLog, board: new StageBoard()})),
      ).rejects.toThrow(/^The disk is full before the replica is complete/);
      expect(readdirSync(disk)).toEqual([]);
    } finally {
      execFileSync('umount', ['-l', disk]);
      await rm(disk, {recursive: true, force: true});
    }
  }
});

test('says what is wrong with the upstream', async () => {
  await using db = await createDatabase();
  const config = testConfig(db, dir, {app: {id: db.appID, publications: ['missing']}});
  await expect(lastValueFrom(initialSync({config, log: silentLog, board: new StageBoard()}))).rejects.toThrow(
    /Publication "missing" does not exist/,
  );
  const nowhere = testConfig(db, dir);
  await expect(
    lastValueFrom(
      initialSync({
        config: {...nowhere, upstream: {...nowhere.upstream, db: 'postgres://u:secret@127.0.0.1:1/x'}},
        log: silentLog,
        board: new StageBoard(),
      }),
    ),
  ).rejects.toThrow(/^Cannot connect to PostgreSQL at 127.0.0.1:1\/x .*nothing listens there/);
});
