import type {DaemonError} from '../errors.ts';
import {SlotUnusable, UpstreamRewound} from '../errors.ts';
import {formatLsn, type Lsn} from './lsn.ts';
import type {SlotHealth} from './slot.ts';

/** What a replica can do with its slot. */
export type SlotState =
  /** Stream. `danger`: the server is about to give the slot up, unless it is read soon. */
  | {readonly state: 'ready'; readonly danger: string | null}
  /** Another session streams from it; ours from before a crash, or another replication-manager's. The newest start wins. */
  | {readonly state: 'active'; readonly pid: number}
  /** Never again: the replica is to be rebuilt, for this reason. */
  | {readonly state: 'unusable'; readonly error: DaemonError};

/** What the replica remembers of upstream. */
export interface ReplicaPosition {
  readonly slot: string;
  readonly systemIdentifier: string | null;
  /** Everything up to here is applied. */
  readonly watermark: Lsn;
}

/** What is to be known of upstream beside the slot. */
export interface UpstreamIdentity {
  readonly systemIdentifier: string | null;
  /** Where the server's history left the one that the replica has followed; null: it did not, or that is unknown. */
  readonly divergedAt: Lsn | null;
}

/** The state machine of the slot: every decision about it is made here, from facts alone (replication.md §8). */
export const slotState = (
  health: SlotHealth,
  replica: ReplicaPosition,
  upstream: UpstreamIdentity,
): SlotState => {
  const unusable = (error: DaemonError): SlotState => ({state: 'unusable', error});
  const {slot} = replica;
  if (
    replica.systemIdentifier &&
    upstream.systemIdentifier &&
    replica.systemIdentifier !== upstream.systemIdentifier
  )
    return unusable(
      new UpstreamRewound(
        'The upstream database is another PostgreSQL cluster than the one the replica was built from (its system identifier differs).',
      ),
    );
  if (upstream.divergedAt !== null && upstream.divergedAt < replica.watermark)
    return unusable(
      new UpstreamRewound(
        `Upstream was failed over or restored to a state before the replica's: its history branched off at ${formatLsn(upstream.divergedAt)}, the replica is at ${formatLsn(replica.watermark)}. Transactions that clients have seen are gone upstream.`,
      ),
    );
  if (health.currentLsn < replica.watermark)
    return unusable(
      new UpstreamRewound(
        `Upstream was restored to a state before the replica's: its WAL ends at ${formatLsn(health.currentLsn)}, the replica is at ${formatLsn(replica.watermark)}. Transactions that clients have seen are gone upstream.`,
      ),
    );
  if (!health.exists)
    return unusable(
      new SlotUnusable(
        `The replication slot ${slot} is missing: it was dropped, or a failover went to a server without it (ZERO_UPSTREAM_PG_REPLICATION_SLOT_FAILOVER).`,
      ),
    );
  if (health.walStatus === 'lost' || health.restartLsn === null || health.invalidation)
    return unusable(
      new SlotUnusable(
        `PostgreSQL has given up the replication slot ${slot} (${health.invalidation ?? 'WAL removed'}): it had to keep more WAL than max_slot_wal_keep_size allows, or was invalidated otherwise.`,
      ),
    );
  if (health.activePid !== null) return {state: 'active', pid: health.activePid};
  return {state: 'ready', danger: slotDanger(health, slot)};
};

/** A warning while it is not too late; null if there is no danger. */
export const slotDanger = (health: SlotHealth, slot: string): string | null => {
  const mib = (bytes: number | null) => `${Math.round((bytes ?? 0) / 1024 / 1024)} MiB`;
  if (health.walStatus === 'unreserved')
    return `the server may drop the WAL that slot ${slot} needs at its next checkpoint (${mib(health.retainedBytes)} are kept): raise max_slot_wal_keep_size`;
  if (health.safeBytes !== null && health.safeBytes < (health.retainedBytes ?? 0) / 4)
    return `slot ${slot} keeps ${mib(health.retainedBytes)} of WAL and may keep only ${mib(health.safeBytes)} more: raise max_slot_wal_keep_size`;
  return null;
};
