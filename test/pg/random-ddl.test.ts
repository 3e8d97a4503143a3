import {expect, test} from 'vitest';
import {hasDebianPostgres, startDebianPostgres} from '../helpers/debian-postgres.ts';
import {limitedRole} from '../helpers/limited-role.ts';
import {followLogOf} from '../helpers/log-follower.ts';
import {mirrors} from '../helpers/mirror.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {Random} from '../helpers/random.ts';
import {type Replicating, replicating} from '../helpers/replicating.ts';

const START = `
  CREATE TYPE mood AS ENUM ('m0', 'm1', 'm2');
  CREATE TABLE t1 (id int PRIMARY KEY, a text, b int NOT NULL, m mood, twice int GENERATED ALWAYS AS (b * 2) STORED);
  CREATE UNIQUE INDEX t1_twice ON t1 (twice);
  CREATE TABLE t2 (id int PRIMARY KEY, big text, u uuid);
  ALTER TABLE t2 ALTER big SET STORAGE EXTERNAL;
  INSERT INTO t1 SELECT i, 'a' || i, i, 'm1' FROM generate_series(1, 60) i;
  INSERT INTO t2 SELECT i, repeat('b' || i, 1500), gen_random_uuid() FROM generate_series(1, 60) i;
  CREATE PUBLICATION everything FOR TABLES IN SCHEMA public;`;

interface Table {
  readonly name: string;
  readonly columns: readonly {readonly name: string; readonly type: string}[];
}

const tablesOf = async (db: TestDatabase): Promise<Table[]> =>
  (
    await db.query(`SELECT c.relname AS name, json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod))
        ORDER BY a.attnum) AS columns
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' GROUP BY c.oid, c.relname ORDER BY c.relname`)
  ).rows;

let counter = 0;
const fresh = (prefix: string) => `${prefix}${++counter}`;

const statement = (random: Random, tables: readonly Table[]): string => {
  const created = fresh('t');
  const create = random.pick([
    `CREATE TABLE ${created} (id int PRIMARY KEY, a text DEFAULT 'd'); INSERT INTO ${created} SELECT i FROM generate_series(1, 20) i`,
    `CREATE TABLE ${created} AS SELECT i AS id, 'x' || i AS a FROM generate_series(1, 20) i; ALTER TABLE ${created} ADD PRIMARY KEY (id)`,
    `CREATE TABLE ${created} (id int NOT NULL, b numeric); INSERT INTO ${created} VALUES (1, 2)`,
  ]);
  if (tables.length < 2) return create;
  const table = random.pick(tables);
  const t = table.name;
  const column = random.pick(table.columns);
  const c = column.name;
  const id = 1 + random.int(60);
  const other = fresh('c');
  const rows = random.pick([
    `UPDATE ${t} SET id = id + 1000 WHERE id = ${id}`,
    `DELETE FROM ${t} WHERE id BETWEEN ${id} AND ${id + 2}`,
    `INSERT INTO ${t} (id) SELECT i FROM generate_series(${2000 + counter}, ${2001 + counter}) i`,
    `UPDATE ${t} SET ${c} = ${c} WHERE id < ${id}`,
    `UPDATE ${t} SET ${c} = NULL WHERE id = ${id}`,
    ...(random.chance(0.1) ? [`TRUNCATE ${t}`] : []),
  ]);
  const shape = random.pick([
    create,
    `DROP TABLE ${t}`,
    `ALTER TABLE ${t} RENAME TO ${fresh('r')}`,
    `ALTER TABLE ${t} ADD COLUMN ${other} ${random.pick(['int', 'text DEFAULT $$x$$', 'uuid DEFAULT gen_random_uuid()', 'numeric DEFAULT 1.5', "mood[] DEFAULT '{m0}'", "timestamptz NOT NULL DEFAULT '2020-01-01'", 'bytea'])}`,
    `ALTER TABLE ${t} DROP COLUMN ${c}`,
    `ALTER TABLE ${t} RENAME COLUMN ${c} TO ${other}`,
    `ALTER TABLE ${t} ALTER ${c} TYPE ${random.pick(['text', 'varchar(2000)', `text[] USING ARRAY[${c}::text]`, 'bigint', 'float8', `text USING '<' || ${c} || '>'`])}`,
    `ALTER TABLE ${t} ALTER ${c} ${random.pick(['SET', 'DROP'])} NOT NULL`,
    `ALTER TABLE ${t} ADD UNIQUE (${c})`,
    `CREATE INDEX ON ${t} (${c} DESC, id)`,
    `ALTER TABLE ${t} DROP CONSTRAINT IF EXISTS ${t}_pkey`,
    `ALTER TABLE ${t} ADD PRIMARY KEY (${c})`,
    `ALTER TABLE ${t} REPLICA IDENTITY ${random.pick(['FULL', 'DEFAULT'])}`,
    `ALTER TYPE mood RENAME VALUE 'm${random.int(3)}' TO 'm${random.int(9)}'`,
    `ALTER TYPE mood ADD VALUE IF NOT EXISTS '${other}'`,
  ]);
  return random.chance(0.5) ? rows : shape;
};

/** Random transactions of rows and shapes; those that PostgreSQL refuses have no effect. */
const run = async (random: Random, db: TestDatabase, replica: Replicating, rounds: number) => {
  await using follower = await followLogOf(db, replica);
  const done: string[] = [];
  const burst = async (transactions: number) => {
    for (let n = 0; n < transactions; n++) {
      const tables = await tablesOf(db);
      const transaction = Array.from({length: 1 + random.int(3)}, () => statement(random, tables)).join('; ');
      await db.query(transaction).then(
        () => done.push(transaction),
        () => {},
      );
    }
  };
  for (let round = 0; round < rounds; round++) {
    // Two sessions at a time: schema changes of transactions that overlap.
    await Promise.all([burst(3), burst(3)]);
    if (random.chance(0.2)) {
      await replica.stop();
      await burst(2);
      await replica.restart();
    }
    await mirrors(db, replica)
      .then(() => follower.equals())
      .catch(error => {
        throw new Error(
          `seed ${random.seed}, after:\n${done.slice(-15).join(';\n')}\n${replica.logged.slice(-8).join('\n')}`,
          {cause: error},
        );
      });
  }
  expect(done.length).toBeGreaterThan(rounds);
};

/** More rounds for a longer look. */
const ROUNDS = Number(process.env['ZS_ROUNDS'] ?? 6);
const seed = Number(process.env['ZS_SEED'] ?? Date.now() % 1_000_000);

test(
  `random changes of rows and shapes, announced (seed ${seed})`,
  async () => {
    await using db = await createDatabase(START);
    await using replica = await replicating(db);
    await run(new Random(seed), db, replica, ROUNDS);
  },
  120_000 + ROUNDS * 5_000,
);

test(
  `random changes of rows and shapes, not announced (seed ${seed})`,
  async () => {
    await using db = await createDatabase(START);
    await using role = await limitedRole(db);
    await using replica = await replicating(
      {...db, url: role.url},
      {app: {id: db.appID, publications: ['everything']}},
    );
    await run(new Random(seed + 1), db, replica, ROUNDS);
  },
  120_000 + ROUNDS * 5_000,
);

test.skipIf(!hasDebianPostgres(15))(
  `random changes of rows and shapes on PostgreSQL 15 (seed ${seed})`,
  async () => {
    const server = await startDebianPostgres(15);
    try {
      await using db = await createDatabase(START, server.url);
      await using replica = await replicating(db);
      await run(new Random(seed + 2), db, replica, ROUNDS / 2);
    } finally {
      await server.stop();
    }
  },
  120_000 + ROUNDS * 5_000,
);
