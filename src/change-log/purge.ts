import type pg from 'pg';
import type {Version} from '../pg/lsn.ts';
import {changeLogSchema} from './schema.ts';

/**
 * Deletes what nobody resumes from any more: entries below `floor`, but never the newest, since the minimum of the log is
 * the oldest position to resume from (replication.md §6.6). Does nothing while a starting replication-manager holds the
 * oldest entry, or if the log has another owner. @returns entries deleted.
 */
export const purgeChangeLog = async (
  pool: pg.Pool,
  shard: string,
  owner: string,
  floor: Version,
): Promise<number> => {
  const cdc = changeLogSchema(shard);
  const client = await pool.connect();
  try {
    await client.query('BEGIN; SET LOCAL statement_timeout = 0');
    await client.query(`SELECT 1 FROM ${cdc}."changeLog" ORDER BY watermark, pos LIMIT 1 FOR UPDATE NOWAIT`);
    const {rowCount} = await client.query(
      `DELETE FROM ${cdc}."changeLog" WHERE watermark < $1
         AND watermark < (SELECT max(watermark) FROM ${cdc}."changeLog")
         AND EXISTS (SELECT 1 FROM ${cdc}."replicationState" WHERE owner = $2 FOR SHARE)`,
      [floor, owner],
    );
    await client.query('COMMIT');
    return rowCount ?? 0;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    // Someone holds the oldest entry: the next time will do. Other faults are met by the next write as well.
    if ((error as {code?: string}).code === '55P03') return 0;
    throw error;
  } finally {
    client.release();
  }
};
