import {existsSync} from 'node:fs';
import type pg from 'pg';
import type {ZeroConfig} from '../config/config.ts';
import {PublicationReplaced, ReplicaUnusable, SlotBusy} from '../errors.ts';
import type {Log} from '../observe/log.ts';
import {checkUpstream} from '../pg/check-upstream.ts';
import {connect} from '../pg/connect.ts';
import {type Lsn, lsnOfVersion} from '../pg/lsn.ts';
import {readPublicationOids} from '../pg/publication-oids.ts';
import {ensureShard} from '../pg/shard.ts';
import {type SlotHealth, slotHealth} from '../pg/slot.ts';
import {slotState} from '../pg/slot-state.ts';
import {timelineEnd} from '../pg/timeline-history.ts';
import {checkIntegrity, vacuumIfDue, wasLeftOpen} from '../replica/care.ts';
import {openWriter} from '../replica/open.ts';
import {followTimeline, type ReplicaState, readReplicaState} from '../replica/sync-context.ts';

export interface ResumePoint {
  readonly state: ReplicaState;
  readonly slot: SlotHealth;
  /** Session that streams from the slot now and is to be ended; null if none does. */
  readonly activePid: number | null;
  readonly walSenderTimeoutMs: number;
  /** False: schema changes are not announced in the stream and must be looked for. */
  readonly ddlDetection: boolean;
}

/**
 * Can the replica file go on streaming? null: there is none yet. With `fresh`, nobody has the file open yet: it is checked
 * after an unclean stop, and compacted when due.
 * @throws ReplicaUnusable, SlotUnusable, UpstreamRewound, PublicationReplaced (recovery `resync`) with the reason if not.
 */
export const checkReplica = async (
  config: ZeroConfig,
  log: Log,
  {fresh}: {readonly fresh: boolean},
): Promise<ResumePoint | null> => {
  const {file, vacuumIntervalHours} = config.replica;
  const client = await connect(config.upstream.db, {purpose: 'check'});
  try {
    const facts = await checkUpstream(client);
    if (!existsSync(file)) return null;
    const {publications, ddlDetection} = await ensureShard(client, {
      appID: config.app.id,
      shardNum: config.shard.num,
      publications: config.app.publications,
    });
    if (fresh) {
      if (wasLeftOpen(file)) {
        log.info('the replica was not closed by its last writer: checking it');
        checkIntegrity(file);
      }
      if (vacuumIntervalHours !== undefined) await vacuumIfDue(file, vacuumIntervalHours, log);
    }
    const state = readState(file);
    if (state.publications.join() !== [...publications].sort().join())
      throw new ReplicaUnusable('The configured publications are not those the replica was built from.');
    const {context} = state;
    const slot = await slotHealth(client, context.slot);
    const verdict = slotState(
      slot,
      {
        slot: context.slot,
        systemIdentifier: context.systemIdentifier,
        watermark: lsnOfVersion(state.stateVersion),
      },
      {
        systemIdentifier: facts.systemIdentifier,
        divergedAt: await divergence(config, slot.timeline, context.timeline),
      },
    );
    if (verdict.state === 'unusable') throw verdict.error;
    comparePublications(context.publicationOids, await readPublicationOids(client, publications));
    if (verdict.state === 'ready' && verdict.danger) log.warn(verdict.danger);
    if (context.timeline !== slot.timeline) followTimeline(file, slot.timeline);
    return {
      state,
      slot,
      activePid: verdict.state === 'active' ? verdict.pid : null,
      walSenderTimeoutMs: facts.walSenderTimeoutMs,
      ddlDetection,
    };
  } finally {
    await client.end();
  }
};

/**
 * Ends the session that streams from the slot: ours from before a crash, or another replication-manager's.
 * @throws SlotBusy if the role may not.
 */
export const takeSlot = async (config: ZeroConfig, pid: number): Promise<void> => {
  const client: pg.Client = await connect(config.upstream.db, {purpose: 'take-slot'});
  try {
    await client.query('SELECT pg_terminate_backend($1)', [pid]).catch((error: unknown) => {
      if ((error as {code?: string}).code !== '42501') throw error;
      throw new SlotBusy(
        `Another session (pid ${pid}) streams from the replication slot, and the upstream role may not end it.`,
        {cause: error},
      );
    });
  } finally {
    await client.end();
  }
};

/** @throws PublicationReplaced if a publication is not the object that the replica was built from. */
export const comparePublications = (
  known: Readonly<Record<string, number>> | undefined,
  found: Readonly<Record<string, number>>,
): void => {
  for (const [name, oid] of Object.entries(known ?? {}))
    if (found[name] !== oid)
      throw new PublicationReplaced(
        `The publication "${name}" was dropped${found[name] === undefined ? '' : ' and created again'}.`,
      );
};

const readState = (file: string): ReplicaState => {
  const db = openWriter(file);
  try {
    return readReplicaState(db);
  } finally {
    db.close();
  }
};

const divergence = async (
  config: ZeroConfig,
  current: number,
  followed: number | undefined,
): Promise<Lsn | null> => {
  if (followed === undefined || followed === current) return null;
  const session = await connect(config.upstream.db, {purpose: 'timeline', replication: true});
  try {
    return await timelineEnd(session, current, followed);
  } finally {
    await session.end();
  }
};
