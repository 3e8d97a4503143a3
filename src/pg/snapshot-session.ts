import type pg from 'pg';
import {shardName, type ZeroConfig} from '../config/config.ts';
import {DaemonError, SyncInterrupted, UpstreamUnfit} from '../errors.ts';
import type {Log} from '../observe/log.ts';
import {checkUpstream, type UpstreamFacts} from './check-upstream.ts';
import {connect} from './connect.ts';
import {literal} from './identifier.ts';
import {lexi, type Version} from './lsn.ts';
import {claimSlot, dropIdleReplicas, dropReplica, dropStraySlots, lockSync} from './replica-rows.ts';
import {ensureShard} from './shard.ts';
import {type CreatedSlot, createSlot, isOutOfSlots} from './slot.ts';

/** A new slot and connections that read the database as it is where the slot begins. */
export interface SnapshotSession {
  readonly facts: UpstreamFacts;
  readonly publications: readonly string[];
  readonly slot: CreatedSlot;
  /** Row of `{shard}.replicas`. */
  readonly replicaID: string;
  readonly replicaVersion: Version;
  /** An ordinary connection; while it lives, the slot counts as being filled. */
  readonly client: pg.Client;
  /** One more connection that sees the snapshot; none may be opened after the slot's own session is gone. */
  reader(purpose: string): Promise<pg.Client>;
  close(): Promise<void>;
  /** Closes, and drops the slot and its row: the sync has failed. */
  discard(): Promise<void>;
}

/**
 * Prepares the shard upstream, drops what failed syncs left behind, and creates a slot with its snapshot. What it made is
 * dropped again if it fails. @throws UpstreamUnreachable, UpstreamUnfit, PublicationUnfit, SyncInterrupted.
 */
export const openSnapshot = async (config: ZeroConfig, log: Log): Promise<SnapshotSession> => {
  const shard = shardName(config);
  const client = await connect(config.upstream.db, {purpose: 'initial-sync'});
  const open: pg.Client[] = [client];
  const close = async () => void (await Promise.all(open.map(c => c.end().catch(() => {}))));
  let claimed: {slot: string; id: string | null} | null = null;
  const discard = async () => {
    await close();
    if (!claimed) return;
    try {
      const cleaner = await connect(config.upstream.db, {purpose: 'initial-sync-cleanup'});
      await dropReplica(cleaner, shard, claimed.id, claimed.slot);
      await cleaner.end();
    } catch (err) {
      log.warn(
        {err, slot: claimed.slot},
        'the slot of a failed initial sync could not be dropped; the next start will',
      );
    }
  };
  try {
    const facts = await checkUpstream(client);
    const {publications} = await ensureShard(client, {
      appID: config.app.id,
      shardNum: config.shard.num,
      publications: config.app.publications,
    });
    for (const slot of await dropStraySlots(client, shard))
      log.warn({slot}, 'dropped a replication slot that an unfinished initial sync had left behind');
    const session = await connect(config.upstream.db, {purpose: 'initial-sync-slot', replication: true});
    open.push(session);
    const create = () =>
      createSlot(client, session, shard, {
        failover: Boolean(config.upstream.pgReplicationSlotFailover) && facts.version >= 170_000,
        claim: async name => {
          await lockSync(client, name);
          claimed = {slot: name, id: null};
        },
      });
    const slot = await create().catch(async error => {
      if (!isOutOfSlots(error) || (await dropIdleReplicas(client, shard)) === 0) throw error;
      log.warn('all replication slots were in use; those of replicas that are being replaced were dropped');
      return create();
    });
    // Records start at multiples of 8, so no commit can lie at consistent_point − 1; a commit exactly at the consistent
    // point is not in the snapshot and must still be streamed (replication.md §2.2).
    const replicaVersion = lexi(slot.consistentPoint - 1n);
    const replicaID = await claimSlot(client, shard, slot.name, replicaVersion);
    claimed = {slot: slot.name, id: replicaID};
    return {
      facts,
      publications,
      slot,
      replicaID,
      replicaVersion,
      client,
      close,
      discard,
      reader: async purpose => {
        const reader = await connect(config.upstream.db, {purpose});
        open.push(reader);
        await reader.query(
          `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; SET TRANSACTION SNAPSHOT ${literal(slot.snapshot)}`,
        );
        return reader;
      },
    };
  } catch (error) {
    await discard();
    throw interrupted(error);
  }
};

/** What PostgreSQL or the network says in the middle of a sync, as an error of ours: another try may succeed. */
export const interrupted = (error: unknown): unknown => {
  const {code, message = ''} = error as {code?: string; message?: string};
  if (error instanceof DaemonError || code?.startsWith('SQLITE_')) return error;
  if (code === '42501')
    return new UpstreamUnfit(
      `The upstream role may not read all that is published: ${message}. GRANT SELECT on it, or take it out of the publication.`,
      {cause: error},
    );
  if (code === undefined && !/connection/i.test(message)) return error;
  // Messages of the classes 22 and 23 may quote values.
  const reason = code && /^2[23]/.test(code) ? `SQLSTATE ${code}` : message;
  return new SyncInterrupted(`The initial sync was interrupted (${reason}).`, {cause: error});
};
