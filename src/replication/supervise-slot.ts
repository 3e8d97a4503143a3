import {concatMap, defer, filter, finalize, type Observable, timer} from 'rxjs';
import type {ZeroConfig} from '../config/config.ts';
import type {Log} from '../observe/log.ts';
import {createPool} from '../pg/connect.ts';
import {lsnOfVersion, VERSION_ZERO} from '../pg/lsn.ts';
import {readPublicationOids} from '../pg/publication-oids.ts';
import {type SlotHealth, slotHealth} from '../pg/slot.ts';
import {slotDanger, slotState} from '../pg/slot-state.ts';
import type {ReplicaState} from '../replica/sync-context.ts';
import {comparePublications} from './check-replica.ts';

const EVERY_MS = 10_000;

/**
 * Looks after the slot while it is streamed from, on a connection of its own: warns once when it gets into danger.
 * @throws SlotUnusable, UpstreamRewound, PublicationReplaced as soon as the replica cannot go on.
 */
export const superviseSlot = (
  config: ZeroConfig,
  log: Log,
  {context, publications}: ReplicaState,
  appliedVersion: () => string | null,
  everyMs = EVERY_MS,
): Observable<SlotHealth> =>
  defer(() => {
    const pool = createPool(config.upstream.db, {purpose: 'slot-watch', max: 1});
    let warned = false;
    const look = async (): Promise<SlotHealth | null> => {
      // Read before the server is asked, so that its position cannot be the older of the two.
      const watermark = lsnOfVersion(appliedVersion() ?? VERSION_ZERO);
      const facts = await Promise.all([
        slotHealth(pool, context.slot),
        readPublicationOids(pool, publications),
      ]).catch(() => null); // A server that cannot be asked is noticed by the stream itself.
      if (!facts) return null;
      const [health, oids] = facts;
      const replica = {slot: context.slot, systemIdentifier: context.systemIdentifier, watermark};
      const verdict = slotState(health, replica, {systemIdentifier: null, divergedAt: null});
      if (verdict.state === 'unusable') throw verdict.error;
      comparePublications(context.publicationOids, oids);
      const danger = slotDanger(health, context.slot);
      if (danger && !warned) log.warn(danger);
      warned = danger !== null;
      return health;
    };
    return timer(everyMs, everyMs).pipe(
      concatMap(look),
      filter(health => health !== null),
      finalize(() => void pool.end()),
    );
  });
