import {execFile} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {expect, test} from 'vitest';
import type {DaemonInspection} from '../../src/observe/inspection.ts';
import {renderMermaid} from '../../src/observe/render-mermaid.ts';
import {renderText} from '../../src/observe/render-text.ts';
import {hasBrowser, launchBrowser} from '../helpers/browser.ts';
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
  expect(shown).toMatch(/followed by \S+ \(127\.0\.0\.1\) · live/);
  expect(shown).toContain('change-stream.send');
  const other = renderText(following, null, {sql: false});
  expect(other).toContain(`follows ${changeStreamer(rm)}`);
  for (const stage of ['apply', 'consumed']) expect(other).toContain(`change-stream.${stage}`);

  const {taskID} = subscriber();
  const fromHere = renderMermaid(leading, {counts: true}).split('\n');
  expect(fromHere.join()).not.toContain('replication_manager');
  expect(fromHere).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^ {2}follower_0\[\["node .+<br\/>live, lag .+"\]\]$/),
      '  change_log -- catch-up --> r_change_stream_send',
      '  r_replication_tee -- live --> r_change_stream_send',
      '  r_change_stream_send -- changes --> follower_0',
    ]),
  );
  const toThere = renderMermaid(following, {counts: false}).split('\n');
  expect(toThere.join()).not.toMatch(/slot|change_log/);
  expect(toThere).toEqual(
    expect.arrayContaining([
      '    r_change_stream_apply["apply"] --> r_change_stream_consumed["consumed"]',
      '  replication_manager -- changes --> r_change_stream_apply',
      '  r_change_stream_consumed -- consumed position --> replication_manager',
      '  r_change_stream_apply --> replica',
      '  r_change_stream_apply -- version ready --> w0_query_advance',
    ]),
  );

  if (!hasBrowser) return;
  const dir = mkdtempSync(join(tmpdir(), 'zs-follow-'));
  using _ = {[Symbol.dispose]: () => rmSync(dir, {recursive: true, force: true})};
  await using browser = await launchBrowser();
  const page = await browser.newPage({viewport: {width: 1400, height: 900}});
  const show = async (url: string) => {
    const file = join(dir, 'page.html');
    await promisify(execFile)(process.execPath, [
      ...['dist/inspect-pipeline.js', '--url', url, '--html', file],
    ]);
    await page.goto(`file://${file}`);
    return {
      stores: await page.locator('.store .store-name').allTextContents(),
      followers: await page.locator('.follower').allTextContents(),
      wires: await page.locator('.wire.change-stream').count(),
    };
  };
  const manager = await show(rm.url);
  expect(manager.stores.toSorted()).toEqual(['PostgreSQL', 'change log', 'replica']);
  expect(manager.followers).toEqual([expect.stringMatching(/live · [\d.]+ m?s/)]);
  expect(manager.followers[0]).toContain(taskID.slice(-10));
  // From the tee, from the change log, and to the one that follows.
  expect(manager.wires).toBe(3);
  const syncer = await show(vs.url);
  expect(syncer.stores.toSorted()).toEqual(['PostgreSQL', 'clients', 'manager', 'replica', 'view records']);
  expect(syncer.followers).toEqual([]);
  // In, on, into the replica, and back what is consumed.
  expect(syncer.wires).toBe(4);
});
