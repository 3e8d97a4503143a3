import type {Database} from 'better-sqlite3';
import {map, type OperatorFunction} from 'rxjs';
import type {Version} from '../pg/lsn.ts';
import {type AppliedEntries, EntryApplier} from './apply-entries.ts';
import {parseLogLines} from './lines.ts';

export interface AppliedLines {
  readonly bytes: number;
  /** null: nothing was committed yet. */
  readonly committed: AppliedEntries | null;
}

/**
 * Applies lines of the change log to the replica, which holds everything up to `watermark`. Unsubscribing leaves an
 * unfinished transaction open, for the owner of `db` to roll back. @throws as `EntryApplier.apply`, and RangeError.
 */
export const applyLines = (db: Database, watermark: Version): OperatorFunction<Buffer, AppliedLines> => {
  const applier = new EntryApplier(db, watermark);
  return map(lines => ({bytes: lines.length, committed: applier.apply(parseLogLines(lines))}));
};
