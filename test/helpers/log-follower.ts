import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {expect} from 'vitest';
import {EntryApplier} from '../../src/change-log/apply-entries.ts';
import {readChangeLog} from '../../src/change-log/read.ts';
import {WatermarkTooOld} from '../../src/errors.ts';
import {dumpReplica} from '../../src/replay/dump-replica.ts';
import {deleteReplica, openWriter} from '../../src/replica/open.ts';
import {readReplicaState} from '../../src/replica/sync-context.ts';
import type {TestDatabase} from './postgres.ts';
import type {Replicating} from './replicating.ts';
import {until} from './until.ts';

export interface LogFollower {
  /** Applies what the change log has by now, and waits until this replica is equal to the one it was copied from. */
  equals(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A copy of the replica that follows the change log, as another node does; interrupted after every few entries. */
export const followLogOf = async (
  db: TestDatabase,
  replica: Replicating,
  entriesAtOnce = 9,
): Promise<LogFollower> => {
  const dir = await mkdtemp(join(tmpdir(), 'zs-follower-'));
  const file = join(dir, 'replica.db');
  const copy = () => {
    deleteReplica(file);
    replica.read(original => original.prepare('VACUUM INTO ?').run(file));
  };
  copy();
  const shard = `${db.appID}_0`;
  const dump = () => replica.read(reader => reader.transaction(() => [...dumpReplica(reader)])());

  const catchUp = async (): Promise<string[]> => {
    let writer = openWriter(file);
    try {
      const {stateVersion} = readReplicaState(writer);
      let applier = new EntryApplier(writer, stateVersion);
      for await (const entries of readChangeLog(db.pool, shard, stateVersion, entriesAtOnce)) {
        applier.apply(entries);
        if (writer.inTransaction) continue;
        // A new process would know as little.
        writer.close();
        writer = openWriter(file);
        applier = new EntryApplier(writer, readReplicaState(writer).stateVersion);
      }
      expect(writer.inTransaction).toBe(false);
      return [...dumpReplica(writer)];
    } finally {
      writer.close();
    }
  };

  return {
    equals: async () => {
      let mine: string[] = [];
      let theirs: string[] = [];
      await until(
        async () => {
          // After a crash between replica and log the log may begin anew: then a copy is fetched.
          mine = await catchUp().catch(error => {
            if (!(error instanceof WatermarkTooOld)) throw error;
            copy();
            return [];
          });
          theirs = dump();
          return mine.join('\n') === theirs.join('\n');
        },
        'the follower is equal',
        8000,
      ).catch(() => {});
      expect(mine).toEqual(theirs);
    },
    [Symbol.asyncDispose]: () => rm(dir, {recursive: true, force: true}),
  };
};
