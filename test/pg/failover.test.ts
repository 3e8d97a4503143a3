import {execFile} from 'node:child_process';
import {appendFile, rename, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';
import {arrives, T} from '../helpers/arrives.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {type PostgresServer, startPostgres} from '../helpers/postgres-server.ts';
import {replicating} from '../helpers/replicating.ts';
import {until} from '../helpers/until.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres(['-c', 'autovacuum=off'], ['--wal-segsize=1']);
});
afterAll(() => server.stop());

/** Stops the server, as its administrator would, works on its files, and starts it again. */
const restart = async (between: () => Promise<void> = async () => {}) => {
  await server.server.stop();
  await between();
  await server.server.start();
};
const backup = () => join(server.dataDir, '..', 'backup');
/** With its owner, whom the server insists on. */
const takeBackup = async () => void (await promisify(execFile)('cp', ['-a', server.dataDir, backup()]));
const restore = async () => {
  await rm(server.dataDir, {recursive: true});
  await rename(backup(), server.dataDir);
};
beforeEach(() => rm(backup(), {recursive: true, force: true}));

const someWal = async (db: TestDatabase, segments: number) => {
  for (let n = 0; n < segments; n++)
    await db.query(`SELECT pg_logical_emit_message(false, 'filler', 'x'), pg_switch_wal()`);
};

test('a restarted upstream is met again, and nothing is lost', async () => {
  await using db = await createDatabase(T, server.url);
  await using replica = await replicating(db);
  await arrives(db, replica);
  await restart();
  await arrives(db, replica);
  expect(replica.mishaps()).toEqual([]);
});

test('a server that crashes under load is met again, and nothing is lost', async () => {
  await using db = await createDatabase(T, server.url);
  await using replica = await replicating(db);
  await arrives(db, replica);
  for (let round = 0; round < 2; round++) {
    let writing = true;
    let committed = 0;
    const writers = [0, 1].map(async () => {
      while (writing)
        await db.query(`INSERT INTO t (v) SELECT repeat('x', 500) FROM generate_series(1, 50)`).then(
          () => committed++,
          () => new Promise(resolve => setTimeout(resolve, 20)),
        );
    });
    await until(() => committed > 20, 'rows are written');
    await server.server.crash();
    await server.server.start();
    const before = committed;
    await until(() => committed > before + 20, 'rows are written again');
    writing = false;
    await Promise.all(writers);
    await arrives(db, replica);
  }
  expect(replica.mishaps()).toEqual([]);
});

test('an upstream restored to an earlier state is refused with a reason, and the replica rebuilt', async () => {
  await using db = await createDatabase(T, server.url);
  await using replica = await replicating(db);
  await arrives(db, replica);
  await restart(takeBackup);
  await someWal(db, 3);
  await arrives(db, replica);
  await arrives(db, replica);
  await restart(restore);
  await arrives(db, replica);
  expect(replica.mishaps()).toMatchObject([
    {type: 'recovery', code: 'R008', reason: expect.stringContaining('restored to a state before')},
  ]);
});

test('a failover to a server with another history is noticed even when its WAL is longer by now', async () => {
  await using db = await createDatabase(T, server.url);
  await using replica = await replicating(db);
  await arrives(db, replica);
  await replica.stop();
  await restart(takeBackup);
  await replica.restart();
  // What the standby never got.
  await arrives(db, replica);
  await replica.stop();
  await restart(async () => {
    await restore();
    // Promoted: recovery ends for want of more WAL, on a new timeline.
    await writeFile(join(server.dataDir, 'recovery.signal'), '', {mode: 0o644});
    await appendFile(join(server.dataDir, 'postgresql.auto.conf'), "restore_command = 'false'\n");
  });
  await someWal(db, 5);
  await replica.restart();
  await arrives(db, replica);
  expect(replica.mishaps()).toMatchObject([
    {type: 'recovery', code: 'R008', reason: expect.stringContaining('its history branched off at')},
  ]);
});

test('a failover that lost nothing is followed without a rebuild', async () => {
  await using db = await createDatabase(T, server.url);
  await using replica = await replicating(db);
  await arrives(db, replica);
  await replica.stop();
  await restart(async () => {
    await writeFile(join(server.dataDir, 'recovery.signal'), '', {mode: 0o644});
    await appendFile(join(server.dataDir, 'postgresql.auto.conf'), "restore_command = 'false'\n");
  });
  await replica.restart();
  await arrives(db, replica);
  expect(replica.mishaps()).toEqual([]);
});

test('another cluster at the same address is refused, and the replica rebuilt from it', async () => {
  await using db = await createDatabase(T, server.url);
  await using replica = await replicating(db);
  await arrives(db, replica);
  await replica.stop();
  const other = await startPostgres();
  try {
    await using moved = await createDatabase(T, other.url);
    const config = replica.config.upstream as {db: string};
    config.db = moved.url;
    (replica.config.change as {db: string}).db = moved.url;
    await replica.restart();
    await arrives(moved, replica);
    expect(replica.mishaps()).toMatchObject([
      {type: 'recovery', code: 'R008', reason: expect.stringContaining('another PostgreSQL cluster')},
    ]);
    await replica.stop();
  } finally {
    await other.stop();
  }
});
