import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {fetchReplica} from '../../src/nodes/fetch-snapshot.ts';
import {silentLog} from '../../src/observe/log.ts';
import {openReader} from '../../src/replica/open.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {replicating} from '../helpers/replicating.ts';
import {snapshotNode, versionOf} from '../helpers/snapshot-node.ts';
import {until} from '../helpers/until.ts';

test('a replica fetched under writes is whole as of its version, and nothing of what follows is missing in the log', async () => {
  await using db = await createDatabase(`
    CREATE TABLE item (id int PRIMARY KEY, pair int, text text);
    INSERT INTO item SELECT i, 0, repeat(md5(i::text), 30) FROM generate_series(1, 3000) i`);
  await using node = await replicating(db);
  await using server = await snapshotNode(node.config.replica.file);
  const dir = mkdtempSync(join(tmpdir(), 'zs-bootstrap-'));
  try {
    let writing = true;
    let commits = 0;
    // Every transaction keeps both tables of one mind: a copy between two of them shows.
    const writer = (async () => {
      for (let n = 1; writing; n++) {
        await db.query(`UPDATE item SET pair = ${n} WHERE id IN (${n % 3000}, ${(n * 7) % 3000}, 3000)`);
        await db.query(
          `INSERT INTO item VALUES (${3000 + n}, ${n}, repeat('n', 500)), (${-n}, ${n}, 'twin')`,
        );
        commits += 2;
      }
    })();
    const files = ['one.db', 'two.db'].map(name => join(dir, name));
    const fetched = await Promise.all(
      files.map(file =>
        fetchReplica({uri: server.uri, file, log: silentLog, signal: new AbortController().signal}),
      ),
    );
    const during = commits;
    writing = false;
    await writer;
    await node.caughtUp();
    expect(during).toBeGreaterThan(0);
    for (const [i, file] of files.entries()) {
      expect(versionOf(file)).toBe(fetched[i]!.watermark);
      expect(server.floor.lowest).toBe(fetched[i]!.watermark);
      const copy = openReader(file);
      const read = (sql: string, ...params: unknown[]) => copy.prepare(sql).all(...params);
      // Whole transactions only: each new row has its twin.
      expect(
        read(
          'SELECT id FROM item WHERE id < 0 AND NOT EXISTS (SELECT 1 FROM item t WHERE t.id = 3000 - item.id)',
        ),
      ).toEqual([]);
      expect(
        read(
          'SELECT id FROM item WHERE id > 3000 AND NOT EXISTS (SELECT 1 FROM item t WHERE t.id = 3000 - item.id)',
        ),
      ).toEqual([]);
      // Row for row what the other has, but for what the other has written since.
      const {watermark} = fetched[i]!;
      const same = 'SELECT * FROM item WHERE _0_version <= ? ORDER BY id';
      const later = node.read(other =>
        other.prepare('SELECT id FROM item WHERE _0_version > ?').pluck().all(watermark),
      );
      const known = new Set(later);
      expect((read(same, watermark) as {id: number}[]).filter(({id}) => !known.has(id))).toEqual(
        node.read(other => other.prepare(same).all(watermark)),
      );
      copy.close();
      // And that is in the log: from the copy's version on, whole.
      const inLog = `SELECT 1 FROM "${db.appID}_0/cdc"."changeLog" WHERE watermark > $1 LIMIT 1`;
      await until(
        async () => (await db.query(inLog, [watermark])).rowCount === 1,
        'the change log, written a moment later, has what follows the copy',
      );
    }
  } finally {
    rmSync(dir, {recursive: true, force: true});
  }
});
