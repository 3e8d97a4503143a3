import {expect, test} from 'vitest';
import {mirrors} from '../helpers/mirror.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {replicating} from '../helpers/replicating.ts';

test('rows come and go with the row filter and the column list of their publications', async () => {
  await using db = await createDatabase(`
    CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, secret text, v text);
    INSERT INTO t SELECT i, i % 10, 's' || i, 'v' || i FROM generate_series(1, 200) i;
    CREATE UNIQUE INDEX t_id_n ON t (id, n); ALTER TABLE t REPLICA IDENTITY USING INDEX t_id_n;
    CREATE PUBLICATION low FOR TABLE t (id, n, v) WHERE (n < 3);`);
  await using replica = await replicating(db, {app: {id: db.appID, publications: ['low']}});
  await mirrors(db, replica);
  expect(replica.rows('SELECT count(*) FROM t')).toEqual([[60]]);
  for (const step of [
    'UPDATE t SET n = 9 WHERE id = 1; UPDATE t SET n = 0 WHERE id = 9; DELETE FROM t WHERE n = 2 AND id < 50',
    'ALTER PUBLICATION low SET TABLE t (id, n, v) WHERE (n < 5)',
    'ALTER PUBLICATION low SET TABLE t (id, n, v) WHERE (n > 6); UPDATE t SET v = $$x$$ WHERE id < 20',
    'ALTER PUBLICATION low SET TABLE t (id, n, v)',
  ]) {
    await db.query(step);
    await mirrors(db, replica).catch(error => {
      throw new Error(`after: ${step}`, {cause: error});
    });
  }
  expect(replica.rows(`SELECT count(*) FROM pragma_table_info('t') WHERE name = 'secret'`)).toEqual([[0]]);
});

test('partitions are one table through their root, which they may join and leave with their rows', async () => {
  await using db = await createDatabase(`
    CREATE TABLE event (id int, day int, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10);
    CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (10) TO (20);
    INSERT INTO event SELECT i, i % 20, 'v' || i FROM generate_series(1, 100) i;`);
  await using replica = await replicating(db);
  await mirrors(db, replica);
  expect(replica.rows('SELECT count(*) FROM event')).toEqual([[100]]);
  for (const step of [
    'UPDATE event SET v = $$moved$$, day = day + 10 WHERE day = 3; DELETE FROM event WHERE day = 4',
    'CREATE TABLE event_3 PARTITION OF event FOR VALUES FROM (20) TO (30); INSERT INTO event VALUES (500, 25, $$new$$)',
    'ALTER TABLE event DETACH PARTITION event_2',
    'ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM (10) TO (20); INSERT INTO event VALUES (501, 11, $$x$$)',
    'DROP TABLE event_1',
  ]) {
    await db.query(step);
    await mirrors(db, replica).catch(error => {
      throw new Error(`after: ${step}`, {cause: error});
    });
  }
});

test('tables leave a publication at the place of the statement', async () => {
  await using db =
    await createDatabase(`CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);
    CREATE TABLE c (id int PRIMARY KEY); CREATE PUBLICATION three FOR TABLE a, b, c`);
  await using replica = await replicating(db, {app: {id: db.appID, publications: ['three']}});
  const names = () =>
    replica.rows(`SELECT name FROM sqlite_master WHERE name IN ('a', 'b', 'c') ORDER BY 1`).flat();
  expect(names()).toEqual(['a', 'b', 'c']);
  for (const [step, left] of [
    ['ALTER PUBLICATION three DROP TABLE b', ['a', 'c']],
    ['ALTER PUBLICATION three SET TABLE a', ['a']],
  ] as const) {
    await db.query(step);
    // By nothing but the stream: the catalog is not looked at so soon.
    await replica.caughtUp();
    expect(names()).toEqual(left);
  }
});

test('an announced change that is undone unannounced before the next look is seen to be undone', async () => {
  await using db = await createDatabase('CREATE TABLE t (id int PRIMARY KEY, n int)');
  await using replica = await replicating(db);
  const indexes = () =>
    replica.rows(`SELECT name FROM pragma_index_list('t') WHERE name IN ('t_1', 't_2') ORDER BY 1`).flat();
  const unannounced = (statement: string) =>
    db.query(`SET session_replication_role = replica; ${statement}; RESET session_replication_role`);
  await unannounced('CREATE INDEX t_1 ON t (n)');
  // So a look has just been made, and the next one is seconds away.
  await replica.becomes(indexes, ['t_1']);
  await db.query('CREATE INDEX t_2 ON t (n)');
  await replica.becomes(indexes, ['t_1', 't_2']);
  // The catalog is again what it was when it was looked at.
  await unannounced('DROP INDEX t_2');
  await replica.becomes(indexes, ['t_1']);
});
