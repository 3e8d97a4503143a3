import {expect, test} from 'vitest';
import {readTableSpecs} from '../../src/replica/read-schema.ts';
import {mirrors} from '../helpers/mirror.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {replicating} from '../helpers/replicating.ts';

const TABLES = `
  CREATE TABLE by_unique (a int NOT NULL, b text NOT NULL, v text); CREATE UNIQUE INDEX by_unique_ab ON by_unique (b, a);
  CREATE TABLE by_index (id int PRIMARY KEY, code text NOT NULL, v text); CREATE UNIQUE INDEX by_index_code ON by_index (code);
  ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_code;
  CREATE TABLE whole (id int NOT NULL UNIQUE, v text, big text); ALTER TABLE whole REPLICA IDENTITY FULL;
  CREATE TABLE bag (v int, w text); ALTER TABLE bag REPLICA IDENTITY FULL;
  CREATE TABLE nothing (id int PRIMARY KEY, v text); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
  CREATE TABLE keyless (v int);
  CREATE TABLE swap (id int PRIMARY KEY, place int UNIQUE DEFERRABLE INITIALLY DEFERRED);
  CREATE TABLE "Mixed_Case" ("Id" int PRIMARY KEY, "camelCase" text, "select" int, "a.b" text);
  INSERT INTO by_unique VALUES (1, 'x', 'old'); INSERT INTO by_index VALUES (1, 'c', 'old');
  INSERT INTO whole VALUES (1, 'old', repeat('b', 9000)); INSERT INTO bag VALUES (1, 'a'), (1, 'a'), (NULL, NULL);
  INSERT INTO nothing VALUES (1, 'old'); INSERT INTO keyless VALUES (1);
  INSERT INTO swap VALUES (1, 1), (2, 2); INSERT INTO "Mixed_Case" VALUES (1, 'x', 2, 'y');`;

test('rows are found by whatever identifies them, and what nothing identifies is said', async () => {
  await using db = await createDatabase(TABLES);
  await using replica = await replicating(db);
  await mirrors(db, replica);
  await db.query(`
    UPDATE by_unique SET v = 'new'; UPDATE by_unique SET a = 2; INSERT INTO by_unique VALUES (7, 'y', NULL);
    UPDATE by_index SET v = 'new'; UPDATE by_index SET code = 'd'; INSERT INTO by_index VALUES (2, 'e', NULL);
    UPDATE whole SET v = 'new'; UPDATE whole SET id = 5; INSERT INTO whole VALUES (6, NULL, NULL); DELETE FROM whole WHERE id = 6;
    UPDATE bag SET w = 'b' WHERE ctid = (SELECT min(ctid) FROM bag); DELETE FROM bag WHERE v IS NULL; INSERT INTO bag VALUES (3, NULL);
    INSERT INTO nothing VALUES (2, 'new'); INSERT INTO keyless VALUES (2);
    BEGIN; UPDATE swap SET place = 2 WHERE id = 1; UPDATE swap SET place = 1 WHERE id = 2; COMMIT;
    UPDATE "Mixed_Case" SET "camelCase" = 'z', "select" = 3, "a.b" = NULL`);
  await mirrors(db, replica);
  const keys = (table: string) => replica.read(file => readTableSpecs(file).get(table)?.keys);
  expect(keys('by_unique')).toEqual([['b', 'a']]);
  expect(keys('keyless')).toEqual([]);
  expect(keys('bag')).toEqual([]);
  // Changes of every table with a key are logged for the workers.
  const logged = replica
    .rows(`SELECT DISTINCT "table" FROM "_zero.changeLog2" WHERE "table" NOT LIKE '${db.appID}%' ORDER BY 1`)
    .flat();
  expect(logged).toEqual(['Mixed_Case', 'by_index', 'by_unique', 'nothing', 'swap', 'whole']);
  expect(
    (await db.query(`SELECT relreplident FROM pg_class WHERE relname = 'by_unique'`)).rows[0].relreplident,
  ).toBe('i');
  const said = (pattern: RegExp) => replica.logged.some(line => pattern.test(line));
  expect(said(/keyless has neither a primary key.*ADD PRIMARY KEY/)).toBe(true);
  expect(said(/bag has neither a primary key/)).toBe(true);
  expect(said(/nothing has REPLICA IDENTITY NOTHING.*REPLICA IDENTITY DEFAULT/)).toBe(true);
});

test('tables gain, change and lose their key and identity while rows change', async () => {
  await using db = await createDatabase(`
    CREATE TABLE t (id int NOT NULL, code text NOT NULL, v text); INSERT INTO t SELECT i, 'c' || i, 'v' FROM generate_series(1, 20) i`);
  await using replica = await replicating(db);
  await mirrors(db, replica);
  for (const step of [
    `ALTER TABLE t ADD PRIMARY KEY (id); UPDATE t SET v = 'keyed' WHERE id < 5; DELETE FROM t WHERE id = 6`,
    `CREATE UNIQUE INDEX t_code ON t (code); ALTER TABLE t REPLICA IDENTITY USING INDEX t_code; UPDATE t SET v = 'by code', code = 'z' WHERE id = 7`,
    `ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET v = 'full' WHERE id = 8; DELETE FROM t WHERE id = 9`,
    `ALTER TABLE t DROP CONSTRAINT t_pkey; UPDATE t SET id = 100 WHERE id = 10`,
    `DROP INDEX t_code; UPDATE t SET v = 'as a whole' WHERE id = 11; DELETE FROM t WHERE id = 12`,
    `ALTER TABLE t REPLICA IDENTITY DEFAULT; ALTER TABLE t ADD PRIMARY KEY (code); UPDATE t SET v = 'again' WHERE id = 13`,
    `ALTER TABLE t RENAME COLUMN code TO kode; UPDATE t SET kode = 'renamed' WHERE id = 14; DELETE FROM t WHERE id = 15`,
    `ALTER TABLE t ALTER kode TYPE varchar(20); UPDATE t SET kode = 'retyped' WHERE id = 16`,
  ]) {
    await db.query(step);
    await mirrors(db, replica).catch(error => {
      throw new Error(`after: ${step}`, {cause: error});
    });
  }
});
