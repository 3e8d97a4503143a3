import {existsSync} from 'node:fs';
import {shardName, type ZeroConfig} from '../config/config.ts';
import {ReplicaUnusable, SlotUnusable} from '../errors.ts';
import {checkUpstream} from '../pg/check-upstream.ts';
import {connect} from '../pg/connect.ts';
import {ensureShard} from '../pg/shard.ts';
import {type SlotHealth, slotHealth} from '../pg/slot.ts';
import {openWriter} from '../replica/open.ts';
import {type ReplicaState, readReplicaState} from '../replica/sync-context.ts';

export interface ResumePoint {
  readonly state: ReplicaState;
  readonly slot: SlotHealth;
  readonly walSenderTimeoutMs: number;
}

/**
 * Can the replica file go on streaming? null: there is none yet. @throws ReplicaUnusable or SlotUnusable (recovery
 * `resync`) with the reason if it cannot.
 */
export const checkReplica = async (config: ZeroConfig): Promise<ResumePoint | null> => {
  const client = await connect(config.upstream.db, {purpose: 'check'});
  try {
    const facts = await checkUpstream(client);
    const {publications} = await ensureShard(client, {
      appID: config.app.id,
      shardNum: config.shard.num,
      publications: config.app.publications,
    });
    if (!existsSync(config.replica.file)) return null;
    const db = openWriter(config.replica.file);
    let state: ReplicaState;
    try {
      state = readReplicaState(db);
      const [damage] = db.pragma('quick_check(1)', {simple: false}) as {quick_check: string}[];
      if (damage?.quick_check !== 'ok')
        throw new ReplicaUnusable('The replica file is damaged (quick_check failed).');
    } catch (error) {
      if ((error as {code?: string}).code?.startsWith('SQLITE_CORRUPT'))
        throw new ReplicaUnusable('The replica file is damaged.', {cause: error});
      throw error;
    } finally {
      db.close();
    }
    if (state.publications.join() !== [...publications].sort().join())
      throw new ReplicaUnusable('The configured publications are not those the replica was built from.');
    if (facts.systemIdentifier !== state.context.systemIdentifier)
      throw new ReplicaUnusable('The replica was built from another PostgreSQL cluster.');
    const slot = await slotHealth(client, state.context.slot);
    if (!slot.usable)
      throw new SlotUnusable(
        slot.exists
          ? `The replication slot ${state.context.slot} is ${slot.walStatus ?? 'invalidated'}.`
          : `The replication slot ${state.context.slot} of shard ${shardName(config)} is missing.`,
      );
    if (slot.activePid !== null)
      // Ours from before a crash, or another replication-manager's: the newest start wins.
      await client.query('SELECT pg_terminate_backend($1)', [slot.activePid]);
    return {state, slot, walSenderTimeoutMs: facts.walSenderTimeoutMs};
  } finally {
    await client.end();
  }
};
