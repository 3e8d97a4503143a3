import {join} from 'node:path';
import type {Database} from 'better-sqlite3';
import {replayFixture} from '../../pipelines/replay.ts';
import {WorkerReplay} from '../../pipelines/replay-worker.ts';
import {CVR_PLANS} from '../cvr/schema.ts';
import {FixtureUnusable} from '../errors.ts';
import {exactly} from '../observe/units.ts';
import {createPool} from '../pg/connect.ts';
import type {Version} from '../pg/lsn.ts';
import {conversationsOf} from '../replay/conversation/files.ts';
import {firstReplica} from '../replay/first-replica.ts';
import type {Fixture, WalCase} from '../replay/fixture.ts';
import {createScratchDatabase} from '../replay/scratch-database.ts';
import {type Outcome, settle} from '../replay/settle.ts';
import {WalSteps} from '../replay/wal-steps.ts';
import {WorkFolder} from '../replay/work-folder.ts';
import {readReplicaState} from '../replica/sync-context.ts';

/**
 * Replays what a server said with its clients: its query graphs and client groups do the same in the same order, from the
 * recorded replica and stream. Clients have no sockets here, the app's server is not asked, and view records are kept in a
 * database that is made in the given PostgreSQL and dropped. @throws FixtureUnusable
 */
export const replayConversation = async (
  fixture: Fixture<WalCase>,
  {bless, postgres}: {readonly bless: boolean; readonly postgres: string},
): Promise<Outcome> => {
  const started = performance.now();
  using work = new WorkFolder();
  const files = conversationsOf(fixture.dir);
  const database = await createScratchDatabase(postgres);
  const pool = createPool(database.url, {purpose: 'replay', setUp: CVR_PLANS, max: 4});
  const workers: WorkerReplay[] = [];
  let db: Database | undefined;
  let wal: WalSteps | undefined;
  try {
    db = await firstReplica(fixture, work.file('replica.db'));
    const replica = db;
    wal = new WalSteps(turn =>
      replayFixture(fixture, replica, {perTransaction: true, beforeGroup: turn, beforeAside: turn}),
    );
    for (const file of files)
      workers.push(
        await WorkerReplay.open(join(fixture.dir, file), work.file(file), work.file('replica.db'), pool),
      );
    for (;;) {
      // Workers move on their own, so the one that is furthest behind goes first.
      const next = workers.map(({waitsFor}) => waitsFor).reduce(earlier, null);
      if (next === null) break;
      await reach(wal, db, next);
      for (const worker of workers) if (worker.waitsFor === next) await worker.goOn();
    }
    for (const worker of workers) worker.out.close();
    const outputs = files.map(name => ({name, got: work.file(name)}));
    const settled = await settle(fixture.dir, outputs, {bless});
    const sum = (of: (worker: WorkerReplay) => number) => workers.reduce((n, worker) => n + of(worker), 0);
    const reordered = sum(({conductor}) => conductor.reordered);
    return {
      ...settled,
      summary: `${exactly(
        sum(({conductor}) => conductor.messages),
        'message',
      )} to clients${reordered ? ` (${reordered} with the same rows in another order)` : ''}`,
      bytes: sum(({out}) => out.bytes),
      ms: performance.now() - started,
    };
  } finally {
    wal?.close();
    for (const worker of workers) await worker.close();
    db?.close();
    await pool.end();
    await database.drop();
  }
};

const earlier = (a: Version | null, b: Version | null): Version | null =>
  a === null || (b !== null && b < a) ? b : a;

/** Applies the recording up to a version. */
const reach = async (wal: WalSteps, db: Database, version: Version): Promise<void> => {
  while (readReplicaState(db).stateVersion < version) await wal.next();
  const {stateVersion} = readReplicaState(db);
  if (stateVersion !== version)
    throw new FixtureUnusable(
      `The recording has no version ${version}: after the last one comes ${stateVersion}.`,
    );
};
