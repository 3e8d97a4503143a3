import {renameSync, statSync} from 'node:fs';
import {statfs} from 'node:fs/promises';
import {dirname} from 'node:path';
import {ReplicaUnusable} from '../errors.ts';
import type {Log} from '../observe/log.ts';
import {replicaError} from './classify-error.ts';
import {deleteReplica, openWriter} from './open.ts';

/** True if the last writer did not close the file: a clean close moves the WAL into it and removes the WAL. */
export const wasLeftOpen = (file: string): boolean =>
  (statSync(`${file}-wal`, {throwIfNoEntry: false})?.size ?? 0) > 0;

/** Reads the whole file, about a second per 500 MB. @throws ReplicaUnusable if anything in it is damaged. */
export const checkIntegrity = (file: string): void => {
  const db = openWriter(file);
  try {
    const [answer] = db.pragma('quick_check(1)') as {quick_check: string}[];
    if (answer?.quick_check !== 'ok')
      throw new ReplicaUnusable('The replica file is damaged (quick_check failed).');
  } catch (error) {
    throw replicaError(error) ?? error;
  } finally {
    db.close();
  }
};

/**
 * Compacts the file if `hours` have passed since the last time (or since the sync). Into a copy that replaces the file
 * when it is complete, so a crash in between costs nothing. Nobody else may have the file open.
 */
export const vacuumIfDue = async (file: string, hours: number, log: Log): Promise<boolean> => {
  const db = openWriter(file);
  const temp = `${file}.vacuum-tmp`;
  try {
    const due = db
      .prepare<[number], {due: number}>(
        `SELECT COALESCE((julianday('now') - julianday(max(timestamp))) * 24, 1e9) >= ? AS due FROM "_zero.runtimeEvents"`,
      )
      .get(hours);
    if (!due?.due) return false;
    const {bavail, bsize} = await statfs(dirname(file));
    const bytes = statSync(file).size;
    if (bavail * bsize < bytes * 1.2) {
      log.warn(
        {freeBytes: bavail * bsize, replicaBytes: bytes},
        'the replica is due to be compacted, but the disk has no room for a second copy',
      );
      return false;
    }
    const startedMs = Date.now();
    deleteReplica(temp);
    db.prepare('VACUUM INTO ?').run(temp);
    const copy = openWriter(temp);
    copy.prepare(`INSERT INTO "_zero.runtimeEvents" (event) VALUES ('vacuum')`).run();
    copy.close();
    db.close();
    deleteReplica(file);
    renameSync(temp, file);
    log.info(
      {ms: Date.now() - startedMs, bytesBefore: bytes, bytesAfter: statSync(file).size},
      'replica compacted',
    );
    return true;
  } catch (error) {
    deleteReplica(temp);
    throw replicaError(error) ?? error;
  } finally {
    if (db.open) db.close();
  }
};
