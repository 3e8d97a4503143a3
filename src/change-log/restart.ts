import type {Database} from 'better-sqlite3';
import type pg from 'pg';
import {DaemonError, TakenOver} from '../errors.ts';
import type {Log} from '../observe/log.ts';
import type {Version} from '../pg/lsn.ts';
import {shapeVersion} from '../replica/stored-schema.ts';
import {readReplicaState} from '../replica/sync-context.ts';
import {changeLogSchema} from './schema.ts';
import {unavailable} from './unavailable.ts';

/**
 * A crash may leave the log behind the replica. Rows are streamed again and logged then; but a change of a table's shape is
 * not found again in a replica that has it, and rows before it would be described in the later shape. So where the log
 * lacks one it begins anew at what the replica holds, and who followed it fetches the replica (D-042).
 * @returns the newest version in the log. @throws TakenOver, ChangeLogUnavailable.
 */
export const restartLogAfterGap = async (
  pool: pg.Pool,
  db: Database,
  {
    shard,
    owner,
    last,
    log,
  }: {readonly shard: string; readonly owner: string; readonly last: Version; readonly log: Log},
): Promise<Version> => {
  const shape = shapeVersion(db);
  if (shape === null || shape <= last) return last;
  const {stateVersion} = readReplicaState(db);
  const cdc = changeLogSchema(shard);
  const client = await pool.connect().catch(error => {
    throw unavailable(error);
  });
  try {
    await client.query('BEGIN');
    const {rowCount} = await client.query(
      `UPDATE ${cdc}."replicationState" SET "lastWatermark" = $1 WHERE owner = $2`,
      [stateVersion, owner],
    );
    if (!rowCount) throw new TakenOver('Another replication-manager has taken ownership of the change log.');
    await client.query(`TRUNCATE ${cdc}."changeLog"`);
    await client.query(
      `INSERT INTO ${cdc}."changeLog" (watermark, pos, change, precommit)
       VALUES ($1, 0, '{"tag":"begin"}', NULL), ($1, 1, '{"tag":"commit"}', $1)`,
      [stateVersion],
    );
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error instanceof DaemonError ? error : unavailable(error);
  } finally {
    client.release();
  }
  log.warn(
    {from: last, to: stateVersion},
    'the change log lacks a schema change that the replica has: it begins anew, and other nodes fetch the replica',
  );
  return stateVersion;
};
