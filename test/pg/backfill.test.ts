import {expect, test} from 'vitest';
import {readTableSpecs} from '../../src/replica/read-schema.ts';
import {mirrors} from '../helpers/mirror.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {Random} from '../helpers/random.ts';
import {replicating} from '../helpers/replicating.ts';
import {until} from '../helpers/until.ts';

/** `big` leaves the row (TOAST) and is not sent again when it does not change. */
const ROWS = 8000;
const TABLE = `
  CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);
  CREATE TABLE b (id int PRIMARY KEY, v text, n int, big text);
  ALTER TABLE b ALTER big SET STORAGE EXTERNAL;
  INSERT INTO b SELECT i, 'v' || i, i % 100, CASE WHEN i % 20 = 0 THEN repeat('b' || i, 1500) END FROM generate_series(1, ${ROWS}) i;
  CREATE UNIQUE INDEX b_vn ON b (v, n);
  CREATE PUBLICATION few FOR TABLE a;`;

const change = (random: Random): string => {
  const id = 1 + random.int(ROWS);
  return random.pick([
    `UPDATE b SET n = n + 1 WHERE id BETWEEN ${id} AND ${id + 40}`,
    `UPDATE b SET big = repeat('new', 1500) WHERE id = ${id}`,
    `DELETE FROM b WHERE id BETWEEN ${id} AND ${id + 10}`,
    `INSERT INTO b SELECT i, 'again', i, repeat('x', 5000) FROM generate_series(${id}, ${id + 5}) i ON CONFLICT (id) DO NOTHING`,
    // A new key sends the reader back to the start, if the row was not read yet.
    ...(random.chance(0.1) ? [`UPDATE b SET id = id + 100000 WHERE id = ${id} AND id < 100000`] : []),
  ]);
};

test('a table enters a publication with its rows while they change', async () => {
  const random = new Random(Date.now() % 100_000);
  await using db = await createDatabase(TABLE);
  await using replica = await replicating(db, {app: {id: db.appID, publications: ['few']}});
  let writing = true;
  let written = 0;
  const writer = (async () => {
    for (; writing; written++)
      await db.query(`${change(random)}; ${change(random)}`).catch(error => {
        if (error.code !== '23505') throw error; // The whole transaction is undone.
      });
  })();
  await db.query('ALTER PUBLICATION few ADD TABLE b');
  const visible = () => replica.read(file => readTableSpecs(file).get('b')?.columns.length ?? 0);
  await until(() => visible() === 4 && written > 50, 'the table is visible');
  writing = false;
  await writer;
  await mirrors(db, replica).catch(error => {
    throw new Error(`seed ${random.seed}`, {cause: error});
  });
  expect(replica.rows('SELECT * FROM "_zero.backfilling"')).toEqual([]);
  // What a column held before it was published is read, too, and what goes out of the publication goes.
  await db.query('ALTER PUBLICATION few SET TABLE a, b (id, n)');
  await mirrors(db, replica);
  await db.query('ALTER PUBLICATION few SET TABLE b (id, v, n)');
  await mirrors(db, replica);
});

/** Rows change for as long as `work` takes, and a while before and after; returns how many statements were run. */
const whileWriting = async (db: TestDatabase, statement: () => string, work: () => Promise<unknown>) => {
  let writing = true;
  let written = 0;
  const writer = (async () => {
    for (; writing; written++)
      await db.query(statement()).catch(error => {
        // The whole statement is undone: a key that is taken, a row that no partition holds, a deadlock with the change.
        if (!/^(23505|23514|40P01)$/.test(error.code)) throw error;
      });
  })();
  const more = async (n: number) => {
    const from = written;
    await until(() => written >= from + n, 'rows change');
  };
  try {
    await more(10);
    await work();
    await more(10);
  } finally {
    writing = false;
    await writer;
  }
};

test('rows that a schema change rewrites arrive as they are, while others change', async () => {
  const random = new Random(Date.now() % 100_000);
  await using db = await createDatabase(`${TABLE}
    CREATE TABLE event (id int, day int, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10);
    CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (10) TO (20);
    INSERT INTO event SELECT i, i % 20, 'v' || i FROM generate_series(1, 2000) i;
    CREATE PUBLICATION pair FOR TABLE b, event WITH (publish_via_partition_root = true)`);
  await using replica = await replicating(db, {app: {id: db.appID, publications: ['pair']}});
  const event = () => {
    const id = 1 + random.int(2000);
    return random.pick([
      `UPDATE event SET v = v || '!' WHERE id BETWEEN ${id} AND ${id + 20}`,
      `DELETE FROM event WHERE id = ${id}`,
      `UPDATE event SET day = (day + 10) % 20 WHERE id = ${id}`,
      `INSERT INTO event VALUES (${id}, ${random.int(20)}, 'again') ON CONFLICT DO NOTHING`,
    ]);
  };
  for (const step of [
    `ALTER TABLE b ALTER v TYPE varchar(2000) USING upper(v)`,
    `ALTER TABLE b ALTER n TYPE numeric USING n / 4.0`,
    'ALTER PUBLICATION pair SET TABLE b WHERE (id > 4000), event',
    'ALTER PUBLICATION pair SET TABLE b WHERE (id < 2000), event',
    'ALTER PUBLICATION pair SET TABLE b, event',
    'ALTER TABLE event DETACH PARTITION event_2',
    'ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM (10) TO (20)',
  ]) {
    await whileWriting(
      db,
      () => (random.chance(0.5) ? change(random) : event()),
      () => db.query(step),
    );
    await mirrors(db, replica).catch(error => {
      throw new Error(`seed ${random.seed}, after: ${step}`, {cause: error});
    });
  }
}, 120_000);

test('what is being read is hidden, survives a restart, and is then complete', async () => {
  await using db = await createDatabase(TABLE);
  await using replica = await replicating(db, {app: {id: db.appID, publications: ['few']}});
  // A transaction that is running keeps the snapshot from being taken, so the table stays in the middle.
  const blocker = await db.pool.connect();
  await blocker.query('BEGIN; SELECT pg_current_xact_id()');
  try {
    await db.query('ALTER PUBLICATION few ADD TABLE b');
    await until(() => replica.rows('SELECT * FROM "_zero.backfilling"').length === 4, 'the table is noted');
    await db.query(`INSERT INTO b VALUES (${ROWS + 1}, 'streamed', 1, NULL)`);
    await replica.caughtUp();
    expect(replica.rows('SELECT v FROM b')).toEqual([['streamed']]);
    expect(replica.read(file => readTableSpecs(file).has('b'))).toBe(false);
    await replica.stop();
    await replica.restart();
    expect(replica.read(file => readTableSpecs(file).has('b'))).toBe(false);
    await db.query(`DELETE FROM b WHERE id = 7; UPDATE b SET n = -1 WHERE id = 20`);
  } finally {
    await blocker.query('COMMIT');
    blocker.release();
  }
  await mirrors(db, replica);
  expect(replica.read(file => readTableSpecs(file).get('b')?.keys)).toContainEqual(['id']);
});

test('a table that the stream brings whole is not read beside it', async () => {
  await using db = await createDatabase('CREATE TABLE a (id int PRIMARY KEY)');
  await using replica = await replicating(db);
  await db.query('CREATE TABLE fresh (id int PRIMARY KEY, v text); INSERT INTO fresh VALUES (1)');
  await db.query(`ALTER TABLE fresh ADD COLUMN w text DEFAULT 'w'; INSERT INTO fresh VALUES (2)`);
  await mirrors(db, replica);
  expect(replica.logged.filter(line => line.startsWith('read table'))).toEqual([]);
  // The schema of other nodes follows from the log alone.
  await until(
    async () =>
      (
        await db.query(
          `SELECT COALESCE(change#>>'{changes,0,tag}', change->>'tag') AS tag FROM "${db.appID}_0/cdc"."changeLog" WHERE change->>'tag' <> 'commit'`,
        )
      ).rows
        .map(row => row.tag)
        .join()
        .includes('begin,create-table,insert'),
    'the change log tells of the table',
  );
});
