import type pg from 'pg';
import {WatermarkTooOld} from '../errors.ts';
import {literal} from '../pg/identifier.ts';
import type {Version} from '../pg/lsn.ts';
import type {LogEntry} from './entries.ts';
import {changeLogSchema} from './schema.ts';

const ROWS_AT_ONCE = 2000;

/**
 * Everything in the change log after `from`, in order, as of one snapshot: whole transactions up to the newest at the time
 * of the first read. Pulled, so at most one batch of `rowsAtOnce` entries is in memory. Ends its connection's transaction
 * when the consumer stops early.
 * @throws WatermarkTooOld if the log does not reach back to `from` (replication.md §6.4).
 */
export async function* readChangeLog(
  pool: pg.Pool,
  shard: string,
  from: Version,
  rowsAtOnce = ROWS_AT_ONCE,
): AsyncGenerator<readonly LogEntry[]> {
  const cdc = changeLogSchema(shard);
  const client = await pool.connect();
  let broken = true;
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0');
    const {rows} = await client.query<{oldest: string | null}>(
      `SELECT min(watermark) AS oldest FROM ${cdc}."changeLog"`,
    );
    const oldest = rows[0]?.oldest ?? null;
    if (oldest === null || oldest > from)
      throw new WatermarkTooOld(
        `Changes after ${from} are asked for, but the change log begins at ${oldest ?? 'nothing'}.`,
      );
    await client.query({
      text: `DECLARE entries NO SCROLL CURSOR FOR
               SELECT watermark, pos::float8 AS pos, change::text AS change, precommit FROM ${cdc}."changeLog"
               WHERE watermark > ${literal(from)} ORDER BY watermark, pos`,
    });
    for (;;) {
      const batch = await client.query<LogEntry>(`FETCH ${rowsAtOnce} FROM entries`);
      if (batch.rows.length === 0) break;
      yield batch.rows;
    }
    await client.query('COMMIT');
    broken = false;
  } finally {
    // In the middle of a transaction the connection is of no further use.
    client.release(broken);
  }
}
