import type pg from 'pg';
import {changeLogSchema} from '../change-log/schema.ts';
import {shardName, type ZeroConfig} from '../config/config.ts';
import {DaemonError} from '../errors.ts';
import type {Log} from '../observe/log.ts';
import {connect} from '../pg/connect.ts';
import {ident} from '../pg/identifier.ts';
import type {Version} from '../pg/lsn.ts';
import {slotHealth} from '../pg/slot.ts';
import {type FetchOptions, fetchReplica} from './fetch-snapshot.ts';
import {knownNodes} from './known-nodes.ts';
import {PartialFile} from './partial-file.ts';

export interface RecoveryOptions extends Pick<FetchOptions, 'onProgress' | 'signal'> {
  readonly config: Pick<ZeroConfig, 'app' | 'shard' | 'change' | 'changeStreamer' | 'replica' | 'upstream'>;
  readonly log: Log;
  /** Under which other nodes know this one; it does not ask itself. */
  readonly ownAddress: string | null;
}

/** Whoever does not answer at once is passed over. */
const PATIENCE = {attempts: 1, silentMs: 5000} as const;

/**
 * Gets back a replica that was lost, from a node that follows the change log: its copy, brought up to date from the log, goes
 * on at the same slot, so that neither nodes nor clients notice. Much quicker than copying tables. Possible if the log
 * reaches back to the node's version and the slot is whole (replication.md §7.4).
 * @returns false if there is nobody to have it from; the log says why. @throws the signal's reason.
 */
export const recoverReplica = async (options: RecoveryOptions): Promise<boolean> => {
  const {config, log, signal} = options;
  const lost = await lostReplica(config);
  if (!lost) return false;
  const nodes = lost.nodes.filter(address => address !== options.ownAddress);
  const impossible = lost.impossible ?? (nodes.length ? null : 'no other node has it');
  if (impossible) {
    log.info(`the replica that the change log belongs to cannot be fetched back: ${impossible}`);
    return false;
  }
  log.info({nodes}, 'there is no replica here, but nodes that follow the change log have it: asking them');
  for (const address of nodes) {
    try {
      await fetchReplica({
        ...options,
        uri: `${config.changeStreamer.protocol}://${address}`,
        secret: config.changeStreamer.secret,
        file: config.replica.file,
        ...PATIENCE,
        objection: offer => {
          if (offer.replicaVersion !== lost.replicaVersion) return 'it is of another sync.';
          return offer.watermark < lost.oldest ? 'the change log does not reach back to it.' : null;
        },
      });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof DaemonError)) throw error;
      log.info({code: error.code}, error.message);
    }
  }
  new PartialFile(config.replica.file).remove();
  log.info('no node could hand out the replica');
  return false;
};

interface LostReplica {
  readonly replicaVersion: Version;
  /** Oldest version from which the change log leads on. */
  readonly oldest: Version;
  readonly nodes: readonly string[];
  /** Why another's copy could not go on streaming. */
  readonly impossible: string | null;
}

/** What change log and upstream know of the replica that was here; null if there was none, or nobody can be asked. */
const lostReplica = async (config: RecoveryOptions['config']): Promise<LostReplica | null> => {
  const shard = shardName(config);
  const cdc = changeLogSchema(shard);
  const change = await connect(config.change.db, {purpose: 'recover-replica'});
  let upstream: pg.Client | null = null;
  try {
    upstream = await connect(config.upstream.db, {purpose: 'recover-replica'});
    const {rows} = await change.query<{replicaVersion: string; oldest: string; owner: string | null}>(
      `SELECT c."replicaVersion", s."ownerAddress" AS owner, (SELECT min(watermark) FROM ${cdc}."changeLog") AS oldest
       FROM ${cdc}."replicationConfig" c, ${cdc}."replicationState" s`,
    );
    const known = rows[0];
    if (!known) return null;
    const {replicaVersion, oldest, owner} = known;
    const nodes = [...new Set([...(owner ? [owner] : []), ...(await knownNodes(change, shard))])];
    const slots = await upstream.query<{slot: string}>(
      `SELECT slot FROM ${ident(shard)}.replicas WHERE version = $1 AND "initialSyncContext" IS NOT NULL`,
      [replicaVersion],
    );
    const slot = slots.rows[0]?.slot;
    const health = slot ? await slotHealth(upstream, slot) : null;
    const whole = health?.exists && health.walStatus !== 'lost' && health.invalidation === null;
    return {replicaVersion, oldest, nodes, impossible: whole ? null : 'its replication slot is gone'};
  } catch (error) {
    // Tables that are not there yet: nothing was ever replicated.
    if (['42P01', '3F000'].includes((error as {code?: string}).code ?? '')) return null;
    throw error;
  } finally {
    await Promise.all([change.end(), upstream?.end()]);
  }
};
