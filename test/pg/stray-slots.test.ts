import {expect, test} from 'vitest';
import {connect} from '../../src/pg/connect.ts';
import {lockSync} from '../../src/pg/replica-rows.ts';
import {arrives, T} from '../helpers/arrives.ts';
import {testConfig} from '../helpers/config.ts';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {replicating} from '../helpers/replicating.ts';
import {until} from '../helpers/until.ts';

const slots = async (db: TestDatabase): Promise<string[]> =>
  (
    await db.query(
      'SELECT slot_name FROM pg_replication_slots WHERE database = current_database() AND NOT temporary ORDER BY 1',
    )
  ).rows.map(row => row.slot_name);

test('slots that unfinished syncs left behind are dropped, those of living ones and of others are not', async () => {
  await using db = await createDatabase(T);
  const shard = `${db.appID}_0`;
  await using replica = await replicating(db);
  expect(await slots(db)).toEqual([`${shard}_a`]);
  await replica.stop();
  const create = (name: string) =>
    db.query(`SELECT pg_create_logical_replication_slot('${name}', 'pgoutput')`);
  const claim = (slot: string) =>
    db.query(`INSERT INTO "${shard}".replicas (id, slot, version) VALUES ($1, $1, '00')`, [slot]);
  // Dead before its row was written; dead after it; still being filled by a living session; somebody else's.
  for (const suffix of ['b', 'c', 'd', 'bf_17']) await create(`${shard}_${suffix}`);
  await create(`${db.appID}_1_a`);
  await claim(`${shard}_c`);
  await claim(`${shard}_d`);
  const living = await connect(db.url, {purpose: 'another sync'});
  await lockSync(living, `${shard}_d`);

  const {app} = testConfig(db, '/nowhere');
  await using second = await replicating(db, {app, taskID: 'second'});
  await arrives(db, second);
  const left = await slots(db);
  // The first free name is used again, as `a` is still taken; its replica is complete, replaced, and dropped at the end.
  expect(left).toEqual([`${shard}_b`, `${shard}_bf_17`, `${shard}_d`, `${db.appID}_1_a`]);
  const {rows} = await db.query(`SELECT slot FROM "${shard}".replicas ORDER BY rank`);
  expect(rows.map(row => row.slot)).toEqual([`${shard}_d`, `${shard}_b`]);
  expect(second.logged.filter(line => line.includes('unfinished initial sync'))).toHaveLength(2);
  await living.end();
});

test('what a sync killed in the middle leaves is gone after the next start', async () => {
  await using db = await createDatabase(
    `${T} INSERT INTO t (v) SELECT repeat('x', 4000) FROM generate_series(1, 30000)`,
  );
  {
    await using killed = await startDaemon({upstream: db.url, appID: db.appID, waitUntilReady: false});
    const copying = async () =>
      (
        await db.query(
          `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY %' AND application_name LIKE 'zerostream-initial-sync%'`,
        )
      ).rowCount !== 0;
    await until(copying, 'tables are copied');
    await killed.kill();
  }
  expect(await slots(db)).toHaveLength(1);
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  expect(daemon.output()).toContain('unfinished initial sync');
  expect(await slots(db)).toHaveLength(1);
}, 120_000);
