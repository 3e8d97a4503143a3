import type {Database} from 'better-sqlite3';
import {type MonoTypeOperatorFunction, tap} from 'rxjs';

/**
 * Moves the WAL into the database file between transactions whenever about `everyBytes` have been applied. PASSIVE never
 * waits for readers; `onComplete` is called when all of it is moved, so that readers may reopen and let the WAL restart.
 */
export const checkpoint = <T extends {readonly bytes: number}>(
  db: Database,
  everyBytes: number,
  onComplete: () => void,
): MonoTypeOperatorFunction<T> => {
  let bytes = 0;
  return tap(item => {
    bytes += item.bytes;
    if (bytes < everyBytes || db.inTransaction) return;
    bytes = 0;
    const [result] = db.pragma('wal_checkpoint(PASSIVE)') as {
      busy: number;
      log: number;
      checkpointed: number;
    }[];
    if (result && result.log === result.checkpointed) onComplete();
  });
};
