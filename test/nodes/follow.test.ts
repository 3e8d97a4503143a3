import {expect, test} from 'vitest';
import type {DaemonInspection} from '../../src/observe/inspection.ts';
import {renderText} from '../../src/observe/render-text.ts';
import {becomesEqual, changeStreamer, dump, replicationManager, viewSyncer} from '../helpers/cluster.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {until} from '../helpers/until.ts';

const inspect = async ({url}: {readonly url: string}): Promise<DaemonInspection> =>
  (await (await fetch(`${url}/pipelines`)).json()) as DaemonInspection;

test('a view-syncer fetches the replica and follows rows and schema changes until both are equal', async () => {
  await using db = await createDatabase(
    `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'old' FROM generate_series(1, 100) i`,
  );
  await using rm = await replicationManager(db);
  await db.query(`INSERT INTO t SELECT i, 'before' FROM generate_series(101, 200) i`);
  await using vs = await viewSyncer(db, changeStreamer(rm));
  await db.query(`UPDATE t SET v = 'live' WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0`);
  await db.query(`ALTER TABLE t ADD COLUMN n int DEFAULT 5; INSERT INTO t VALUES (300, 'after', 6)`);
  await db.query(
    `CREATE TABLE u AS SELECT i AS id FROM generate_series(1, 10) i; ALTER TABLE u ADD PRIMARY KEY (id)`,
  );
  await until(() => dump(rm).some(line => line.includes('"table":"u"')), 'the table is read');
  await db.query(`INSERT INTO t VALUES (301, 'last', 6)`);
  await until(() => dump(rm).some(line => line.includes('"last"')), 'the replication-manager has all');
  await becomesEqual(vs, rm);

  let [leading, following] = [await inspect(rm), await inspect(vs)];
  const subscriber = () => leading.replicator!.subscribers[0]!;
  let id = 400;
  await until(async () => {
    await db.query(`INSERT INTO t VALUES (${id++}, 'more', 1)`);
    [leading, following] = [await inspect(rm), await inspect(vs)];
    return subscriber().live && subscriber().bytesInFlight === 0;
  }, 'it is served from memory and takes all');
  const shown = renderText(leading, null, {sql: false});
  expect(shown).toMatch(/followed by \S+ \(.*127\.0\.0\.1\) · live/);
  expect(shown).toContain('change-stream.send');
  const other = renderText(following, null, {sql: false});
  expect(other).toContain(`follows ${changeStreamer(rm)}`);
  for (const stage of ['apply', 'consumed']) expect(other).toContain(`change-stream.${stage}`);
});
