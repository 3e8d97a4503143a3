import type pg from 'pg';
import {UpstreamUnfit} from '../errors.ts';
import {explainRefusal} from './check-upstream.ts';
import {ident, literal} from './identifier.ts';
import {type Lsn, parseLsn} from './lsn.ts';

export interface CreatedSlot {
  readonly name: string;
  readonly consistentPoint: Lsn;
  /** Importable until `session` runs its next command or ends. */
  readonly snapshot: string;
}

/**
 * Creates the shard's next free slot (`{shard}_a`, `_b`, …) and exports its snapshot on `session`, a replication connection.
 * Slots of ours that nobody claims are dropped first: they are what failed syncs left behind (replication.md §1.5).
 */
export const createSlot = async (
  client: pg.Client,
  session: pg.Client,
  shard: string,
  options: {readonly failover: boolean},
): Promise<CreatedSlot> => {
  await dropUnclaimedSlots(client, shard);
  await client.query('BEGIN');
  try {
    await client.query(
      `SELECT pg_advisory_xact_lock(hashtext(${literal(`replication-slot-management:${shard}`)}))`,
    );
    const {rows} = await client.query<{slot_name: string}>('SELECT slot_name FROM pg_replication_slots');
    const taken = new Set(rows.map(row => row.slot_name));
    let n = 0;
    while (taken.has(`${shard}_${suffix(n)}`)) n++;
    const name = `${shard}_${suffix(n)}`;
    // Creation waits for running transactions to end; without a limit one forgotten session would hang the start.
    await session.query('SET lock_timeout = 29000');
    const created = await session.query(
      `CREATE_REPLICATION_SLOT ${ident(name)} LOGICAL pgoutput${options.failover ? ' (FAILOVER)' : ''}`,
    );
    const row = created.rows[0] as {consistent_point: string; snapshot_name: string};
    return {name, consistentPoint: parseLsn(row.consistent_point), snapshot: row.snapshot_name};
  } catch (error) {
    if ((error as {code?: string}).code === '53400')
      throw new UpstreamUnfit(
        'All replication slots are in use. Raise max_replication_slots, or drop unused ones with pg_drop_replication_slot().',
        {cause: error},
      );
    throw explainRefusal(error, 'create a replication slot');
  } finally {
    await client.query('COMMIT').catch(() => {});
  }
};

/** `a … z, aa, ab, …`: letters, so that a suffix never looks like a shard number. */
const suffix = (n: number): string => {
  let text = '';
  for (let rest = n + 1; rest > 0; rest = Math.floor((rest - 1) / 26))
    text = String.fromCharCode(97 + ((rest - 1) % 26)) + text;
  return text;
};

const ours = (shard: string): string => `${shard.replaceAll('_', '\\_')}\\_%`;

const dropUnclaimedSlots = async (client: pg.Client, shard: string) => {
  const {rows} = await client.query<{slot_name: string}>(
    `SELECT slot_name FROM pg_replication_slots
     WHERE slot_name LIKE $1 AND slot_name ~ $2 AND NOT active AND database = current_database()
       AND slot_name NOT IN (SELECT "slot" FROM ${ident(shard)}."replicas" WHERE "slot" IS NOT NULL)`,
    [ours(shard), `^${shard}_[a-z]+$`],
  );
  for (const {slot_name} of rows) await dropSlot(client, slot_name);
};

/** Drops a slot if it exists, ending its walsender first. Best effort: an unreachable server is somebody else's error. */
export const dropSlot = async (client: pg.Client, name: string): Promise<void> => {
  for (let attempt = 0; attempt < 20; attempt++) {
    try {
      await client.query(
        'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1',
        [name],
      );
      return;
    } catch (error) {
      if ((error as {code?: string}).code !== '55006') return;
      await client
        .query(
          'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active',
          [name],
        )
        .catch(() => {});
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  }
};

export interface SlotHealth {
  readonly exists: boolean;
  readonly activePid: number | null;
  readonly walStatus: string | null;
  readonly retainedBytes: number | null;
  readonly confirmedFlushLsn: string | null;
  /** False if it is missing, lost or invalidated: only a new sync helps. */
  readonly usable: boolean;
}

export const slotHealth = async (client: pg.Client, name: string): Promise<SlotHealth> => {
  const {rows} = await client.query<{
    active_pid: number | null;
    wal_status: string | null;
    restart_lsn: string | null;
    confirmed_flush_lsn: string | null;
    retained: string | null;
  }>(
    `SELECT active_pid, wal_status, restart_lsn::text, confirmed_flush_lsn::text,
       pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::text AS retained
     FROM pg_replication_slots WHERE slot_name = $1`,
    [name],
  );
  const row = rows[0];
  if (!row)
    return {
      exists: false,
      activePid: null,
      walStatus: null,
      retainedBytes: null,
      confirmedFlushLsn: null,
      usable: false,
    };
  return {
    exists: true,
    activePid: row.active_pid,
    walStatus: row.wal_status,
    retainedBytes: row.retained === null ? null : Number(row.retained),
    confirmedFlushLsn: row.confirmed_flush_lsn,
    usable: row.wal_status !== 'lost' && row.restart_lsn !== null,
  };
};
