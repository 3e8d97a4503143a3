import type {Database} from 'better-sqlite3';
import type pg from 'pg';
import {lastValueFrom, tap} from 'rxjs';
import {drain} from '../flow/drain.ts';
import type {Version} from '../pg/lsn.ts';
import {checkpoint} from '../replica/checkpoint.ts';
import {applyLines} from './apply-lines.ts';
import {logLines} from './lines.ts';
import {readChangeLog} from './read.ts';

const CHECKPOINT_BYTES = 8 * 1024 * 1024;

/**
 * Brings a replica that is older than what its slot will send again to the end of the change log. Nobody else may write
 * the log meanwhile. @returns the version that the replica holds then.
 * @throws WatermarkTooOld if the log does not reach back to `watermark`; as `EntryApplier.apply`.
 */
export const catchUpFromLog = async (
  db: Database,
  {pool, shard}: {readonly pool: pg.Pool; readonly shard: string},
  watermark: Version,
): Promise<Version> => {
  let version = watermark;
  const applied = drain(() => readChangeLog(pool, shard, watermark), logLines).pipe(
    applyLines(db, watermark),
    checkpoint(db, {
      everyBytes: CHECKPOINT_BYTES,
      onComplete: () => {},
      largeBytes: Number.POSITIVE_INFINITY,
      onLarge: () => {},
    }),
  );
  await lastValueFrom(
    applied.pipe(
      tap(({committed}) => {
        version = committed?.version ?? version;
      }),
    ),
    {defaultValue: null},
  );
  return version;
};
