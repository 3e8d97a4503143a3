import type pg from 'pg';
import {catchError, concatMap, defer, expand, map, EMPTY as NOTHING, type Observable, of, timer} from 'rxjs';
import type {Log} from '../observe/log.ts';
import {cvrSchema} from './schema.ts';

export interface PurgeOptions {
  readonly shard: string;
  readonly inactivityMs: number;
  readonly initialIntervalMs: number;
  /** 0: nothing is ever purged. */
  readonly initialBatchSize: number;
}

export interface PurgeRound {
  readonly purged: number;
  /** Inactive groups left for later rounds. */
  readonly remaining: number;
}

const MAX_INTERVAL_MS = 16 * 60_000;
const RETRY_MS = 10_000;
/** Tombstones keep profile ids for the monthly usage count. */
const TOMBSTONE_MS = 31 * 24 * 3_600_000;

/**
 * Removes view records of groups that were not active for long, in rounds: sooner again while there are more, later and
 * later when there are none (views.md §5). Several servers may do so at once.
 */
export const purgeInactive = (pool: pg.Pool, log: Log, options: PurgeOptions): Observable<PurgeRound> => {
  const {initialIntervalMs, initialBatchSize} = options;
  if (initialBatchSize === 0) {
    log.warn('inactive client groups are never purged: the batch size is 0');
    return NOTHING;
  }
  interface Pace {
    readonly intervalMs: number;
    readonly batchSize: number;
    readonly round: PurgeRound | null;
  }
  const next = ({intervalMs, batchSize, round}: Pace): Observable<Pace> =>
    timer(intervalMs).pipe(
      concatMap(() => purgeRound(pool, options, batchSize)),
      map(done => ({
        round: done,
        intervalMs: done.remaining > 0 ? initialIntervalMs : Math.min(intervalMs * 2, MAX_INTERVAL_MS),
        // More than the last round found: they come faster than they go.
        batchSize: done.remaining > (round?.remaining ?? 0) ? batchSize + initialBatchSize : batchSize,
      })),
      catchError(err => {
        log.warn({err}, 'inactive client groups could not be purged; trying again');
        return of({round, intervalMs: RETRY_MS, batchSize});
      }),
    );
  return defer(() =>
    next({intervalMs: initialIntervalMs, batchSize: initialBatchSize, round: null}).pipe(
      expand(next),
      concatMap(({round}) => (round ? of(round) : NOTHING)),
    ),
  );
};

/** One transaction. A group that is being written is skipped; a write that comes after finds the record gone. */
export const purgeRound = async (
  pool: pg.Pool,
  {shard, inactivityMs}: Pick<PurgeOptions, 'shard' | 'inactivityMs'>,
  batchSize: number,
): Promise<PurgeRound> => {
  const cvr = cvrSchema(shard);
  const inactive = `NOT deleted AND "lastActive" < now() - $1 * interval '1 millisecond'`;
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const {rows} = await client.query<{clientGroupID: string}>(
      `SELECT "clientGroupID" FROM ${cvr}.instances WHERE ${inactive}
       ORDER BY "lastActive" LIMIT $2 FOR UPDATE SKIP LOCKED`,
      [inactivityMs, batchSize],
    );
    if (rows.length) {
      // The journal first: from then on nobody puts rows in.
      const groups = [rows.map(row => row.clientGroupID)];
      for (const table of [
        '"zerostreamJournal"',
        '"zerostreamRowSets"',
        'desires',
        'queries',
        'clients',
        'rows',
        '"rowsVersion"',
      ])
        await client.query(`DELETE FROM ${cvr}.${table} WHERE "clientGroupID" = ANY($1)`, groups);
      await client.query(
        `UPDATE ${cvr}.instances SET deleted = TRUE, version = '00', "ttlClock" = 0, "replicaVersion" = NULL,
           owner = NULL, "grantedAt" = NULL, "clientSchema" = NULL WHERE "clientGroupID" = ANY($1)`,
        groups,
      );
    }
    await client.query(
      `DELETE FROM ${cvr}.instances WHERE deleted AND "lastActive" < now() - $1 * interval '1 millisecond'`,
      [Math.max(TOMBSTONE_MS, inactivityMs)],
    );
    const left = await client.query<{n: number}>(
      `SELECT count(*)::int AS n FROM ${cvr}.instances WHERE ${inactive}`,
      [inactivityMs],
    );
    await client.query('COMMIT');
    return {purged: rows.length, remaining: left.rows[0]!.n};
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  } finally {
    client.release();
  }
};
