import {copyFileSync} from 'node:fs';
import {expect, test} from 'vitest';
import {purgeChangeLog} from '../../src/change-log/purge.ts';
import {readChangeLog} from '../../src/change-log/read.ts';
import {changeLogSchema} from '../../src/change-log/schema.ts';
import {arrives, T} from '../helpers/arrives.ts';
import {mirrors} from '../helpers/mirror.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {type Replicating, replicating} from '../helpers/replicating.ts';
import {until} from '../helpers/until.ts';

const watermarks = async (db: TestDatabase): Promise<string[]> =>
  (
    await db.query(
      `SELECT watermark FROM ${changeLogSchema(`${db.appID}_0`)}."changeLog" GROUP BY 1 ORDER BY 1`,
    )
  ).rows.map(row => row.watermark);

const applied = (replica: {rows(sql: string): unknown[][]}): string =>
  replica.rows('SELECT stateVersion FROM "_zero.replicationState"')[0]![0] as string;

/** Everything applied is in the log as well. */
const logged = (db: TestDatabase, replica: {rows(sql: string): unknown[][]}) =>
  until(async () => (await watermarks(db)).at(-1) === applied(replica), 'the log has what the replica has');

test('holds every transaction whole and in order, and is read from any watermark on in batches', async () => {
  await using db = await createDatabase(`${T} CREATE TABLE j (id int PRIMARY KEY, doc jsonb, t text)`);
  await using replica = await replicating(db);
  for (let n = 1; n <= 3; n++)
    await db.query(`INSERT INTO t (v) SELECT 'row ' || i FROM generate_series(1, ${n * 10}) i`);
  await db.query(
    `INSERT INTO j VALUES (1, '{"a": "tab\\there", "b": "back\\\\slash"}', E'line\\nbreak \\x01\\x02 \\\\N ü😀')`,
  );
  await arrives(db, replica);
  await logged(db, replica);
  const all = await watermarks(db);
  const read = async (from: string, rowsAtOnce?: number) => {
    const entries = [];
    let batches = 0;
    for await (const batch of readChangeLog(db.pool, `${db.appID}_0`, from, rowsAtOnce)) {
      batches++;
      expect(batch.length).toBeLessThanOrEqual(rowsAtOnce ?? Number.POSITIVE_INFINITY);
      entries.push(...batch);
    }
    return {entries, batches};
  };
  const {entries, batches} = await read(all[0]!, 7);
  expect(batches).toBeGreaterThan(5);
  expect([...new Set(entries.map(entry => entry.watermark))]).toEqual(all.slice(1));
  for (const watermark of all.slice(1)) {
    const transaction = entries.filter(entry => entry.watermark === watermark);
    expect(transaction.map(entry => entry.pos)).toEqual(transaction.map((_, i) => i));
    expect(JSON.parse(transaction[0]!.change)).toMatchObject({tag: 'begin'});
    expect(transaction.at(-1)).toMatchObject({precommit: watermark});
    expect(JSON.parse(transaction.at(-1)!.change)).toMatchObject({tag: 'commit'});
  }
  const doc = entries.map(entry => JSON.parse(entry.change)).find(change => change.relation?.name === 'j');
  expect(doc.new).toEqual({
    id: 1,
    doc: '{"a": "tab\\there", "b": "back\\\\slash"}',
    t: 'line\nbreak \x01\x02 \\N ü😀',
  });
  const later = await read(all[2]!);
  expect(later.entries).toEqual(entries.filter(entry => entry.watermark > all[2]!));
});

test('is purged below a floor, never of its newest entry, and then refuses older readers', async () => {
  await using db = await createDatabase(T);
  await using replica = await replicating(db);
  for (let n = 0; n < 4; n++) await arrives(db, replica);
  await logged(db, replica);
  const before = await watermarks(db);
  const shard = `${db.appID}_0`;
  expect(await purgeChangeLog(db.pool, shard, 'another task', before[2]!)).toBe(0);
  expect(await watermarks(db)).toEqual(before);
  expect(await purgeChangeLog(db.pool, shard, replica.config.taskID, before[2]!)).toBeGreaterThan(0);
  expect(await watermarks(db)).toEqual(before.slice(2));
  await expect(readChangeLog(db.pool, shard, before[0]!).next()).rejects.toMatchObject({code: 'R012'});

  // A starting replication-manager holds the oldest entry: what it needs stays.
  const starting = await db.pool.connect();
  await starting.query(
    `BEGIN; SELECT 1 FROM ${changeLogSchema(shard)}."changeLog" ORDER BY watermark, pos LIMIT 1 FOR SHARE`,
  );
  expect(await purgeChangeLog(db.pool, shard, replica.config.taskID, 'zzz')).toBe(0);
  await starting.query('ROLLBACK');
  starting.release();
  await purgeChangeLog(db.pool, shard, replica.config.taskID, 'zzz');
  expect(await watermarks(db)).toEqual(before.slice(-1));
  await arrives(db, replica);
  expect(replica.mishaps()).toEqual([]);
});

test('a replication-manager that is replaced by another stops without a reset', async () => {
  await using db = await createDatabase(T);
  await using first = await replicating(db, {taskID: 'first'});
  await arrives(db, first);
  await using second = await replicating(db, {taskID: 'second'});
  await arrives(db, second);
  await until(() => first.mishaps().length > 0, 'the first one stops');
  expect(first.mishaps()).toMatchObject([{code: 'R006'}]);
  await arrives(db, second);
  expect(second.mishaps()).toEqual([]);
  const {rows} = await db.query(`SELECT owner FROM ${changeLogSchema(`${db.appID}_0`)}."replicationState"`);
  expect(rows).toEqual([{owner: 'second'}]);
});

test('a log that cannot be written is waited for, nothing is acknowledged meanwhile, and nothing is lost', async () => {
  await using db = await createDatabase(T);
  await using replica = await replicating(db);
  await arrives(db, replica);
  await logged(db, replica);
  const cdc = changeLogSchema(`${db.appID}_0`);
  await db.query(`ALTER TABLE ${cdc}."changeLog" ADD CONSTRAINT closed CHECK (watermark < '0') NOT VALID`);
  const {rows} = await db.query(
    `INSERT INTO t (v) VALUES ('kept') RETURNING pg_current_wal_lsn()::text AS lsn`,
  );
  await until(() => replica.logged.some(line => line.includes('change log cannot be reached')), 'it is told');
  const confirmed = await db.query(
    'SELECT confirmed_flush_lsn <= $1::pg_lsn AS held FROM pg_replication_slots WHERE database = current_database()',
    [rows[0].lsn],
  );
  expect(confirmed.rows).toEqual([{held: true}]);
  await db.query(`ALTER TABLE ${cdc}."changeLog" DROP CONSTRAINT closed`);
  await arrives(db, replica);
  await logged(db, replica);
  const kept = await db.query(`SELECT 1 FROM ${cdc}."changeLog" WHERE change::text LIKE '%kept%'`);
  expect(kept.rowCount).toBe(1);
  expect(replica.mishaps()).toEqual([]);
});

/** Replaces the replica by a copy from before transactions that the slot will not send again. */
const setBack = async (db: TestDatabase, replica: Replicating) => {
  await arrives(db, replica);
  await logged(db, replica);
  await replica.stop();
  const {file} = replica.config.replica;
  copyFileSync(file, `${file}.old`);
  await replica.restart();
  await db.query(`ALTER TABLE t ADD COLUMN n int DEFAULT 7; INSERT INTO t (v) VALUES ('in between')`);
  await arrives(db, replica);
  await logged(db, replica);
  const latest = applied(replica);
  const lsn = await db.query('SELECT pg_current_wal_lsn()::text AS lsn');
  await until(
    async () =>
      (
        await db.query(
          'SELECT confirmed_flush_lsn >= $1::pg_lsn AS ok FROM pg_replication_slots WHERE database = current_database()',
          [lsn.rows[0].lsn],
        )
      ).rows[0].ok,
    'it is confirmed',
  );
  await replica.stop();
  copyFileSync(`${file}.old`, file);
  expect(applied(replica) < latest).toBe(true);
};

test('an old copy of the replica catches up from the change log, before the slot goes on', async () => {
  await using db = await createDatabase(T);
  await using replica = await replicating(db);
  await setBack(db, replica);
  await replica.restart();
  await arrives(db, replica);
  expect(replica.logged.join()).toContain('catches up from the change log');
  expect(replica.mishaps()).toEqual([]);
  expect(replica.rows(`SELECT n FROM t WHERE v = 'in between'`)).toEqual([[7]]);
  await mirrors(db, replica);
});

test('an old copy of the replica is rebuilt where the change log does not reach back to it', async () => {
  await using db = await createDatabase(T);
  await using replica = await replicating(db);
  await setBack(db, replica);
  const cdc = changeLogSchema(`${db.appID}_0`);
  await db.query(
    `DELETE FROM ${cdc}."changeLog" WHERE watermark < (SELECT max(watermark) FROM ${cdc}."changeLog")`,
  );
  await replica.restart();
  await arrives(db, replica);
  expect(replica.mishaps()).toMatchObject([{type: 'recovery', code: 'R012'}]);
  expect(replica.rows(`SELECT n FROM t WHERE v = 'in between'`)).toEqual([[7]]);
});
