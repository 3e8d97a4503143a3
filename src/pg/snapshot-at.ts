import type pg from 'pg';
import {connect} from './connect.ts';
import {ident, literal} from './identifier.ts';
import {type Lsn, parseLsn} from './lsn.ts';

export interface SnapshotAt {
  /** In a read-only transaction that sees every commit up to `asOf` and none after. End it when done. */
  readonly client: pg.Client;
  readonly asOf: Lsn;
}

/**
 * A snapshot whose position in the WAL is known exactly, by way of a temporary slot that is gone when this returns. Waits
 * for the transactions that are running now, at most 29 s, and until `signal` is aborted. Needs one free replication slot
 * for a moment.
 */
export const snapshotAt = async (url: string, slot: string, signal: AbortSignal): Promise<SnapshotAt> => {
  const session = await connect(url, {purpose: 'backfill-slot', replication: true});
  let client: pg.Client | null = null;
  let cancel = () => {};
  try {
    await session.query('SET lock_timeout = 29000');
    const {pid} = (await session.query('SELECT pg_backend_pid() AS pid')).rows[0] as {pid: number};
    signal.throwIfAborted();
    // A server that waits for transactions does not see that nobody waits for it, and would keep the slot meanwhile.
    cancel = () => void cancelStatement(url, pid);
    signal.addEventListener('abort', cancel);
    const created = await session.query(`CREATE_REPLICATION_SLOT ${ident(slot)} TEMPORARY LOGICAL pgoutput`);
    const row = created.rows[0] as {consistent_point: string; snapshot_name: string};
    client = await connect(url, {purpose: 'backfill'});
    await client.query(
      `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; SET TRANSACTION SNAPSHOT ${literal(row.snapshot_name)}`,
    );
    // A commit that starts exactly at the consistent point is not in the snapshot (replication.md §2.2).
    return {client, asOf: parseLsn(row.consistent_point) - 1n};
  } catch (error) {
    await client?.end().catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener('abort', cancel);
    await session.end().catch(() => {});
  }
};

/** As good as can be: where it fails, the statement's own time limit is left. */
const cancelStatement = async (url: string, pid: number): Promise<void> => {
  const client = await connect(url, {purpose: 'backfill-cancel'}).catch(() => null);
  await client?.query('SELECT pg_cancel_backend($1)', [pid]).catch(() => {});
  await client?.end().catch(() => {});
};
