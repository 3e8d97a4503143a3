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
