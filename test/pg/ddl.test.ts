import {expect, test} from 'vitest';
import {limitedRole} from '../helpers/limited-role.ts';
import {mirrors} from '../helpers/mirror.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {type Replicating, replicating} from '../helpers/replicating.ts';
import {until} from '../helpers/until.ts';

const BASE = `
  CREATE TABLE issue (id int PRIMARY KEY, title text NOT NULL, n numeric, tags text[]);
  CREATE TABLE comment (id int PRIMARY KEY, issue_id int NOT NULL, body text);
  CREATE INDEX comment_issue ON comment (issue_id);
  INSERT INTO issue SELECT i, 'title ' || i, i * 1.5, ARRAY['a', NULL] FROM generate_series(1, 50) i;
  INSERT INTO comment SELECT i, i % 50 + 1, repeat('x', 20) FROM generate_series(1, 100) i;`;

/** Statements in order; the replica must mirror PostgreSQL after each. */
const STEPS: readonly string[] = [
  'ALTER TABLE issue ADD COLUMN prio int',
  `INSERT INTO issue VALUES (51, 'new', 1, '{}', 3)`,
  `ALTER TABLE issue ADD COLUMN state text NOT NULL DEFAULT 'it''s "open"'`,
  `ALTER TABLE issue ADD COLUMN at timestamptz DEFAULT '2020-01-01 00:00:00+00'; UPDATE issue SET at = now() WHERE id < 5`,
  'ALTER TABLE issue ADD COLUMN token uuid DEFAULT gen_random_uuid()',
  'UPDATE issue SET prio = id; ALTER TABLE issue ALTER prio SET NOT NULL',
  'ALTER TABLE issue RENAME COLUMN title TO headline; UPDATE issue SET headline = headline || 1 WHERE id = 7',
  'ALTER TABLE issue RENAME COLUMN headline TO "Head Line"',
  'ALTER TABLE issue RENAME COLUMN "Head Line" TO title',
  'ALTER TABLE issue DROP COLUMN state; INSERT INTO issue (id, title, prio) VALUES (60, $$x$$, 1)',
  'ALTER TABLE comment RENAME TO remark; INSERT INTO remark VALUES (200, 1, $$after the rename$$)',
  'ALTER TABLE remark RENAME COLUMN issue_id TO "issueID"',
  'CREATE TABLE label (id text PRIMARY KEY, name text UNIQUE); ',
  `INSERT INTO label SELECT 'l' || i, 'n' || i FROM generate_series(1, 20) i`,
  'CREATE TABLE label2 AS SELECT * FROM label',
  'ALTER TABLE label2 ADD PRIMARY KEY (id); UPDATE label2 SET name = $$changed$$ WHERE id = $$l3$$; DELETE FROM label2 WHERE id = $$l4$$',
  'DROP TABLE label; ALTER TABLE label2 RENAME TO label',
  'CREATE INDEX issue_prio ON issue (prio DESC, id)',
  'CREATE UNIQUE INDEX remark_body ON remark (body, id)',
  'DROP INDEX issue_prio',
  'ALTER TABLE issue ALTER n TYPE int USING n * 2',
  'ALTER TABLE issue ALTER n TYPE bigint; UPDATE issue SET n = 5000000000 WHERE id = 1',
  `ALTER TABLE issue ALTER title TYPE varchar(80) USING upper(title)`,
  `ALTER TABLE issue ALTER prio TYPE text USING 'p' || prio; UPDATE issue SET prio = 'mine' WHERE id = 2`,
  'BEGIN; ALTER TABLE issue RENAME COLUMN title TO tmp; ALTER TABLE issue RENAME COLUMN prio TO title; ALTER TABLE issue RENAME COLUMN tmp TO prio; INSERT INTO issue (id, title, prio) VALUES (70, $$t$$, $$p$$); COMMIT',
  'BEGIN; ALTER TABLE issue RENAME TO tmp; ALTER TABLE remark RENAME TO issue; ALTER TABLE tmp RENAME TO remark; COMMIT',
  'DROP TABLE issue',
  'CREATE TABLE issue (id int PRIMARY KEY, other text); INSERT INTO issue VALUES (1, $$another table$$)',
  'TRUNCATE issue; INSERT INTO issue VALUES (2, $$y$$)',
  'CREATE SCHEMA app; CREATE TABLE app.far (id int PRIMARY KEY); INSERT INTO app.far VALUES (1)',
  'ALTER TABLE app.far SET SCHEMA public; INSERT INTO far VALUES (2)',
  'ALTER TABLE far DROP CONSTRAINT far_pkey; ALTER TABLE far ADD COLUMN k text NOT NULL DEFAULT gen_random_uuid()::text; ALTER TABLE far ADD PRIMARY KEY (k)',
];

/** Checks after every `stride` steps. */
const followed = async (db: TestDatabase, replica: Replicating, stride: number) => {
  await mirrors(db, replica);
  for (const [i, step] of STEPS.entries()) {
    await db.query(step);
    if ((i + 1) % stride > 0 && i + 1 < STEPS.length) continue;
    await mirrors(db, replica).catch(error => {
      throw new Error(`after: ${step}`, {cause: error});
    });
  }
  expect(replica.mishaps()).toEqual([]);
};

test('the replica mirrors every schema change live, with event triggers', async () => {
  await using db = await createDatabase(BASE);
  await using replica = await replicating(db);
  expect((await db.query(`SELECT "ddlDetection" FROM "${db.appID}_0"."shardConfig"`)).rows).toEqual([
    {ddlDetection: true},
  ]);
  await followed(db, replica, 1);
}, 120_000);

test('the replica mirrors schema changes live, for a role that may not create event triggers', async () => {
  await using db = await createDatabase(`${BASE} CREATE PUBLICATION everything FOR TABLES IN SCHEMA public`);
  await using role = await limitedRole(db);
  await using replica = await replicating(
    {...db, url: role.url},
    {app: {id: db.appID, publications: ['everything']}},
  );
  expect((await db.query(`SELECT "ddlDetection" FROM "${db.appID}_0"."shardConfig"`)).rows).toEqual([
    {ddlDetection: false},
  ]);
  // Several changes between two looks at the catalog: rows of shapes that are gone by then.
  await followed(db, replica, 3);
}, 120_000);

test('announcing a schema change waits for nobody and looks at no table', async () => {
  await using db = await createDatabase(`${BASE} CREATE TABLE part (id int) PARTITION BY LIST (id);
    CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1)`);
  await using replica = await replicating(db);
  const [one, two] = [await db.pool.connect(), await db.pool.connect()];
  try {
    await one.query('BEGIN; ALTER TABLE issue ADD COLUMN a int DEFAULT 7; LOCK TABLE part');
    await two.query(`SET lock_timeout = '5s'; BEGIN; ALTER TABLE comment ADD COLUMN b int`);
    await two.query('INSERT INTO comment VALUES (500, 1, $$x$$, 5); COMMIT');
    await one.query('INSERT INTO issue VALUES (500, $$y$$, 1, NULL, 8)');
    // Neither does following it: the one that is still open is not looked at.
    await until(() => replica.rows('SELECT 1 FROM comment WHERE id = 500').length === 1, 'the second');
    expect(replica.rows('SELECT b FROM comment WHERE id = 500')).toEqual([[5]]);
    // The first transaction's announcement does not know of the second's change.
    await one.query('COMMIT');
  } finally {
    one.release();
    two.release(true);
  }
  await mirrors(db, replica);
});

test('a row that comes with fewer columns than was announced is read again', async () => {
  await using db = await createDatabase(BASE);
  await using replica = await replicating(db);
  const client = await db.pool.connect();
  try {
    // As PostgreSQL sends it when a slot is made amid schema changes: what its decoder knows of the table is older than
    // the announcement.
    await client.query('BEGIN; ALTER TABLE comment ADD COLUMN c int');
    const {rows} = await client.query(`SELECT "${db.appID}_0".schema_specs() AS schema`);
    await client.query('ROLLBACK; BEGIN');
    await client.query(
      `SELECT pg_logical_emit_message(true, $1, json_build_object('type', 'ddlUpdate', 'version', 1,
        'snapshot', pg_current_snapshot()::text, 'created', '[]'::json, 'schema', $2::json)::text)`,
      [`${db.appID}/0/ddl`, JSON.stringify(rows[0].schema)],
    );
    await client.query(`INSERT INTO comment VALUES (600, 1, 'x')`);
    await client.query('ALTER TABLE comment ADD COLUMN c int DEFAULT 7; COMMIT');
  } finally {
    client.release(true);
  }
  await replica.becomes(() => replica.rows('SELECT id, c FROM comment WHERE id = 600'), [[600, 7]]);
  await mirrors(db, replica);
});
