import {statSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Database} from 'better-sqlite3';
import {Subject} from 'rxjs';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {checkpoint, truncateWal} from '../../src/replica/checkpoint.ts';
import {createMetadataTables, initReplicaState} from '../../src/replica/metadata.ts';
import {openWriter} from '../../src/replica/open.ts';
import {Timeline} from '../../src/replica/snapshots.ts';

let dir: string;
let file: string;
let writer: Database;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zs-checkpoint-'));
  file = join(dir, 'replica.db');
  writer = openWriter(file);
  createMetadataTables(writer);
  initReplicaState(writer, '110', []);
  writer.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)');
});
afterEach(async () => {
  writer.close();
  await rm(dir, {recursive: true, force: true});
});

const MB = 1024 * 1024;
const walBytes = () => statSync(`${file}-wal`).size;
let version = 36 * 36;
/** One transaction of about `bytes`. */
const write = (bytes: number) => {
  version++;
  writer.exec('BEGIN IMMEDIATE');
  writer.prepare('INSERT OR REPLACE INTO t VALUES (?, ?)').run(version % 20, Buffer.alloc(bytes, version));
  writer.prepare('UPDATE "_zero.replicationState" SET stateVersion = ?').run(`3${version.toString(36)}`);
  writer.exec('COMMIT');
};
const step = (reader: Timeline) => {
  const next = reader.peek();
  if (next.version > reader.current.version || next.version === reader.current.version) reader.commit();
};

test('the WAL stays bounded under a steady load while readers follow and are asked to reopen', async () => {
  const readers = [new Timeline(file), new Timeline(file)];
  const reopen = () => readers.forEach(step);
  const applied = new Subject<{bytes: number}>();
  let large = 0;
  let emptying: Promise<boolean> | null = null;
  applied
    .pipe(
      checkpoint(writer, {
        everyBytes: 2 * MB,
        onComplete: reopen,
        largeBytes: 8 * MB,
        onLarge: () => {
          large++;
          emptying = truncateWal(writer, reopen, 5000);
        },
      }),
    )
    .subscribe();
  let peak = 0;
  for (let i = 0; i < 300; i++) {
    write(MB / 4);
    applied.next({bytes: MB / 4});
    // A reader is always a little behind: its snapshot pins the WAL at every checkpoint.
    if (i % 3 === 0) step(readers[i % 2]!);
    // The source waits meanwhile.
    if (emptying) expect(await (emptying as Promise<boolean>)).toBe(true);
    emptying = null;
    peak = Math.max(peak, walBytes());
  }
  for (const reader of readers) reader.close();
  expect(large).toBeGreaterThan(0);
  expect(peak).toBeLessThan(16 * MB);
});

test('a reader that does not let go is waited for only so long, and keeps its snapshot', async () => {
  const reader = new Timeline(file);
  const pinned = reader.current.version;
  for (let i = 0; i < 20; i++) write(MB / 4);
  let asked = 0;
  expect(await truncateWal(writer, () => asked++, 200)).toBe(false);
  expect(asked).toBeGreaterThan(1);
  expect(reader.current.db.prepare('SELECT stateVersion FROM "_zero.replicationState"').pluck().get()).toBe(
    pinned,
  );
  reader.close();
  expect(await truncateWal(writer, () => {}, 200)).toBe(true);
  expect(walBytes()).toBe(0);
});

test('an open transaction is never waited for: nothing could end it while the source is paused', async () => {
  writer.exec('BEGIN IMMEDIATE');
  expect(await truncateWal(writer, () => {}, 60_000)).toBe(false);
  writer.exec('ROLLBACK');
});

test('tables that grew much since they were counted are counted again at a checkpoint', () => {
  writer.exec('CREATE INDEX t_v ON t (v); ANALYZE');
  const applied = new Subject<{bytes: number}>();
  applied
    .pipe(checkpoint(writer, {everyBytes: 1, onComplete: () => {}, largeBytes: 1e9, onLarge: () => {}}))
    .subscribe();
  const insert = writer.prepare('INSERT INTO t (v) VALUES (?)');
  for (let i = 0; i < 500; i++) insert.run(String(i % 50));
  applied.next({bytes: 1});
  expect(writer.prepare(`SELECT stat FROM sqlite_stat1 WHERE idx = 't_v'`).pluck().get()).toBe('500 10');
});
