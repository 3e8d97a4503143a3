import {execFileSync} from 'node:child_process';
import {closeSync, copyFileSync, existsSync, openSync, statSync, writeFileSync, writeSync} from 'node:fs';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {silentLog} from '../../src/observe/log.ts';
import {checkIntegrity, vacuumIfDue, wasLeftOpen} from '../../src/replica/care.ts';
import {openWriter} from '../../src/replica/open.ts';
import {arrives, T} from '../helpers/arrives.ts';
import {testConfig} from '../helpers/config.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {type Replicating, replicating} from '../helpers/replicating.ts';
import {smallDisk} from '../helpers/small-disk.ts';
import {until} from '../helpers/until.ts';

const ROWS = `${T} INSERT INTO t (v) SELECT repeat(md5(i::text), 20) FROM generate_series(1, 3000) i;`;
const rebuilds = (replica: Replicating) => replica.events.filter(event => event.type === 'recovery');

/** Overwrites pages in the middle of the file. */
const damage = (file: string) => {
  const fd = openSync(file, 'r+');
  const garbage = Buffer.alloc(4096, 0xa5);
  for (let page = 200; page * 4096 < statSync(file).size; page += 3)
    writeSync(fd, garbage, 0, 4096, page * 4096);
  closeSync(fd);
};

test('after a clean stop nothing is checked; after a crash the file is, and a damaged one is rebuilt', async () => {
  await using db = await createDatabase(ROWS);
  await using replica = await replicating(db);
  await arrives(db, replica);
  const {file} = replica.config.replica;
  const crashed = `${file}.crashed`;
  expect(wasLeftOpen(file)).toBe(true);
  for (const suffix of ['', '-wal']) copyFileSync(file + suffix, crashed + suffix);
  await replica.stop();
  expect(wasLeftOpen(file)).toBe(false);
  await replica.restart();
  expect(replica.logged.join('\n')).not.toContain('checking it');
  await replica.stop();

  // What a kill -9 leaves: the WAL is still there.
  for (const suffix of ['', '-wal']) copyFileSync(crashed + suffix, file + suffix);
  await replica.restart();
  expect(replica.logged.join('\n')).toContain('checking it');
  await arrives(db, replica);
  expect(rebuilds(replica)).toEqual([]);
  await replica.stop();

  for (const suffix of ['', '-wal']) copyFileSync(crashed + suffix, file + suffix);
  damage(file);
  await replica.restart();
  await arrives(db, replica);
  expect(rebuilds(replica)).toMatchObject([{code: 'R003', reason: expect.stringContaining('damaged')}]);
  checkIntegrity(file);
}, 90_000);

test('a file that is no database is rebuilt', async () => {
  await using db = await createDatabase(ROWS);
  await using replica = await replicating(db);
  await replica.stop();
  writeFileSync(replica.config.replica.file, Buffer.alloc(100_000, 0x5a));
  await replica.restart();
  await arrives(db, replica);
  expect(rebuilds(replica)).toMatchObject([{code: 'R003'}]);
});

test('damage that is met while streaming leads to a rebuild', async () => {
  await using db = await createDatabase(ROWS);
  await using replica = await replicating(db);
  await replica.stop();
  damage(replica.config.replica.file);
  await replica.restart();
  await db.query(`UPDATE t SET v = 'changed'`);
  await until(() => rebuilds(replica).length > 0, 'the damage is noticed');
  expect(rebuilds(replica)).toMatchObject([{code: 'R003', reason: expect.stringContaining('damaged')}]);
  await arrives(db, replica);
});

test('the replica is compacted when due, and only then', async () => {
  await using db = await createDatabase(ROWS);
  await using replica = await replicating(db);
  await db.query('DELETE FROM t');
  await arrives(db, replica);
  await replica.stop();
  const {file} = replica.config.replica;
  const before = statSync(file).size;
  expect(await vacuumIfDue(file, 1, silentLog)).toBe(false);
  const writer = openWriter(file);
  writer.exec(`UPDATE "_zero.runtimeEvents" SET timestamp = datetime('now', '-2 hours')`);
  writer.close();
  (replica.config.replica as {vacuumIntervalHours: number}).vacuumIntervalHours = 1;
  await replica.restart();
  await arrives(db, replica);
  await replica.stop();
  expect(statSync(file).size).toBeLessThan(before / 2);
  expect(existsSync(`${file}.vacuum-tmp`)).toBe(false);
  expect(await vacuumIfDue(file, 1, silentLog)).toBe(false);
  expect(rebuilds(replica)).toEqual([]);
});

test('a full disk is reported and waited out: nothing is lost or skipped', async context => {
  const dir = await smallDisk(24);
  if (dir === null) return context.skip('mounting a small disk takes root');
  try {
    await using db = await createDatabase(ROWS);
    const {replica: settings} = testConfig(db, dir);
    await using replica = await replicating(db, {replica: settings});
    const ballast = join(dir, 'ballast');
    await db.query(`INSERT INTO t (v) SELECT repeat('x', 100000) FROM generate_series(1, 80)`);
    writeFileSync(ballast, Buffer.alloc(4 * 1024 * 1024));
    await db.query(`INSERT INTO t (v) SELECT repeat('y', 100000) FROM generate_series(1, 80)`);
    await until(
      () => replica.logged.some(line => line.includes('disk that holds it is full')),
      'it is reported',
    );
    expect(rebuilds(replica)).toEqual([]);
    // Readers go on; the administrator makes room.
    expect(replica.rows('SELECT count(*) > 0 FROM t')).toEqual([[1]]);
    execFileSync('mount', ['-o', 'remount,size=200m', dir]);
    await arrives(db, replica);
    expect(rebuilds(replica)).toEqual([]);
    await replica.stop();
  } finally {
    execFileSync('umount', ['-l', dir]);
    await rm(dir, {recursive: true, force: true});
  }
}, 90_000);
