import type pg from 'pg';
import {UpstreamUnfit, UpstreamUnreachable} from '../errors.ts';
import {explainRefusal} from './explain-refusal.ts';
import {ident, literal} from './identifier.ts';
import {type Lsn, parseLsn} from './lsn.ts';

export interface CreatedSlot {
  readonly name: string;
  readonly consistentPoint: Lsn;
  /** Importable until `session` runs its next command or ends. */
  readonly snapshot: string;
}

/**
 * Creates the shard's next free slot (`{shard}_a`, `_b`, …) and exports its snapshot on `session`, a replication
 * connection (replication.md §1.5). `claim` is called with the name before the slot exists.
 * @throws UpstreamUnfit if all slots are in use or the role may not create one.
 */
export const createSlot = async (
  client: pg.Client,
  session: pg.Client,
  shard: string,
  options: {readonly failover: boolean; readonly claim: (name: string) => Promise<void>},
): Promise<CreatedSlot> => {
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
    await options.claim(name);
    // Creation waits for running transactions to end; without a limit one forgotten session would hang the start.
    await session.query('SET lock_timeout = 29000');
    const created = await session.query(
      `CREATE_REPLICATION_SLOT ${ident(name)} LOGICAL pgoutput${options.failover ? ' (FAILOVER)' : ''}`,
    );
    const row = created.rows[0] as {consistent_point: string; snapshot_name: string};
    return {name, consistentPoint: parseLsn(row.consistent_point), snapshot: row.snapshot_name};
  } catch (error) {
    const {code} = error as {code?: string};
    if (code === OUT_OF_SLOTS)
      throw new UpstreamUnfit(
        'All replication slots are in use. Raise max_replication_slots, or drop unused ones with pg_drop_replication_slot().',
        {cause: error},
      );
    if (code === '55P03')
      throw new UpstreamUnreachable(
        'A replication slot can only be created when the transactions that are running have ended; one has been running for half a minute. Look for it in pg_stat_activity.',
        {cause: error},
      );
    throw await explainRefusal(error, 'create a replication slot', client, {replicates: true});
  } finally {
    await client.query('COMMIT').catch(() => {});
  }
};

const OUT_OF_SLOTS = '53400';
export const isOutOfSlots = (error: unknown): boolean =>
  ((error as Error).cause as {code?: string} | undefined)?.code === OUT_OF_SLOTS;

/** `a … z, aa, ab, …`: letters, so that a suffix never looks like a shard number. */
const suffix = (n: number): string => {
  let text = '';
  for (let rest = n + 1; rest > 0; rest = Math.floor((rest - 1) / 26))
    text = String.fromCharCode(97 + ((rest - 1) % 26)) + text;
  return text;
};

/** Regular expression of the shard's own slots; temporary ones of a backfill end in digits and do not match. */
export const shardSlotPattern = (shard: string): string => `^${shard}_[a-z]+$`;

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

/** What the server says of a slot and of itself, in one statement; sizes in bytes. */
export interface SlotHealth {
  readonly exists: boolean;
  readonly activePid: number | null;
  /** `reserved`, `extended`, `unreserved` or `lost` (pg_replication_slots.wal_status). */
  readonly walStatus: string | null;
  /** Why the server gave the slot up, where it says so (PostgreSQL 17 and later). */
  readonly invalidation: string | null;
  /** WAL that is kept for the slot. */
  readonly retainedBytes: number | null;
  /** WAL that may still be written before the slot is in danger; null: no limit is set. */
  readonly safeBytes: number | null;
  readonly restartLsn: Lsn | null;
  readonly confirmedFlushLsn: Lsn | null;
  readonly currentLsn: Lsn;
  readonly timeline: number;
}

export const slotHealth = async (client: pg.Client | pg.Pool, name: string): Promise<SlotHealth> => {
  const {rows} = await client.query<{
    slot: {
      active_pid: number | null;
      wal_status: string | null;
      restart_lsn: string | null;
      confirmed_flush_lsn: string | null;
      safe_wal_size: number | null;
      invalidation_reason?: string | null;
    } | null;
    current: string;
    timeline: string;
    retained: string | null;
  }>(
    `SELECT to_json(s) AS slot, c.lsn::text AS current, left(pg_walfile_name(c.lsn), 8) AS timeline,
       pg_wal_lsn_diff(c.lsn, s.restart_lsn)::text AS retained
     FROM (SELECT pg_current_wal_lsn() AS lsn) c LEFT JOIN pg_replication_slots s ON s.slot_name = $1`,
    [name],
  );
  const {slot, current, timeline, retained} = rows[0]!;
  const lsn = (text: string | null | undefined) => (text ? parseLsn(text) : null);
  return {
    exists: slot !== null,
    activePid: slot?.active_pid ?? null,
    walStatus: slot?.wal_status ?? null,
    invalidation: slot?.invalidation_reason ?? null,
    retainedBytes: retained === null ? null : Number(retained),
    safeBytes: slot?.safe_wal_size ?? null,
    restartLsn: lsn(slot?.restart_lsn),
    confirmedFlushLsn: lsn(slot?.confirmed_flush_lsn),
    currentLsn: parseLsn(current),
    timeline: Number.parseInt(timeline, 16),
  };
};
