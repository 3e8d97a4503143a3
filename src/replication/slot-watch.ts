import type pg from 'pg';
import {Observable, Subject} from 'rxjs';
import {DaemonError, SlotInDanger, UpstreamUnreachable} from '../errors.ts';
import type {Log} from '../observe/log.ts';
import {connect, describeUrl} from '../pg/connect.ts';
import {lsnOfVersion, VERSION_ZERO} from '../pg/lsn.ts';
import {readPublicationOids} from '../pg/publication-oids.ts';
import {type SlotHealth, slotHealth} from '../pg/slot.ts';
import {slotDanger, slotState} from '../pg/slot-state.ts';
import {upstreamFault} from '../pg/upstream-fault.ts';
import {WalGrowth} from '../pg/wal-growth.ts';
import type {ReplicaState} from '../replica/sync-context.ts';
import {comparePublications} from './check-replica.ts';
import type {ReplicatorStatus} from './status.ts';

const EVERY_MS = 10_000;
/** However often inspectors ask. */
const LEAST_MS = 500;
const PATIENCE_MS = 1500;

/**
 * Looks after the slot on a connection of its own: every ten seconds while it is streamed from, and when an inspector
 * asks, also while replication waits for something else. What it finds is in the status at once.
 */
export class SlotWatch {
  readonly #url: string;
  readonly #log: Log;
  readonly #status: ReplicatorStatus;
  readonly #unusable = new Subject<DaemonError>();
  #replica: ReplicaState | null = null;
  #growth = new WalGrowth();
  #warned = false;
  #client: Promise<pg.Client> | null = null;
  #looking: Promise<void> | null = null;
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(url: string, log: Log, status: ReplicatorStatus) {
    this.#url = url;
    this.#log = log;
    this.#status = status;
  }

  /**
   * Never emits. Afterwards the slot is looked at only for inspectors, until `forget`.
   * @throws SlotUnusable, UpstreamRewound, PublicationReplaced as soon as the replica cannot go on.
   */
  supervise(replica: ReplicaState): Observable<never> {
    return new Observable(out => {
      if (this.#replica?.context.slot !== replica.context.slot) this.#growth = new WalGrowth();
      this.#replica = replica;
      const timer = setInterval(() => void this.look(), EVERY_MS);
      const subscription = this.#unusable.subscribe(error => out.error(error));
      return () => {
        clearInterval(timer);
        subscription.unsubscribe();
      };
    });
  }

  /** The replica is given up, or the process ends. */
  forget(): void {
    this.#replica = null;
    this.#close();
    for (const subject of ['slot', 'upstream']) this.#status.faults.set(subject, null);
  }

  /** Resolves when what is known is at most half a second old, or the server has not answered. Never rejects. */
  look(): Promise<void> {
    const replica = this.#replica;
    if (!replica || this.#looking || performance.now() - this.#lookedAtMs < LEAST_MS)
      return this.#looking ?? Promise.resolve();
    this.#lookedAtMs = performance.now();
    this.#looking = this.#look(replica).finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #look(replica: ReplicaState): Promise<void> {
    const {context, publications} = replica;
    // Read before the server is asked, so that its position cannot be the older of the two.
    const watermark = lsnOfVersion(this.#status.appliedVersion ?? VERSION_ZERO);
    let facts: {health: SlotHealth; oids: Readonly<Record<string, number>>};
    try {
      facts = await this.#ask(context.slot, publications);
    } catch (error) {
      if (this.#replica === replica) this.#unanswered(error);
      return;
    }
    if (this.#replica !== replica) return;
    const {health, oids} = facts;
    const {faults} = this.#status;
    faults.set('upstream', null);
    this.#status.checked(context.slot, health);
    const position = {slot: context.slot, systemIdentifier: context.systemIdentifier, watermark};
    const verdict = slotState(health, position, {systemIdentifier: null, divergedAt: null});
    const unusable =
      verdict.state === 'unusable' ? verdict.error : replaced(context.publicationOids ?? {}, oids);
    // Whoever streams fails with it, and says so; else it is found when the stream is to go on.
    if (unusable && this.#unusable.observed) return this.#unusable.next(unusable);
    if (unusable) return faults.set('slot', unusable, 'fault');
    const danger = slotDanger(health, context.slot) ?? this.#growth.note(health, context.slot, Date.now());
    if (danger && !this.#warned) this.#log.warn({code: 'R013'}, danger);
    this.#warned = danger !== null;
    faults.set('slot', danger === null ? null : new SlotInDanger(danger));
  }

  async #ask(slot: string, publications: readonly string[]) {
    const connecting = (this.#client ??= connect(this.#url, {purpose: 'slot-watch'}));
    let connected = false;
    const answer = (async () => {
      const client = await connecting;
      connected = true;
      return {health: await slotHealth(client, slot), oids: await readPublicationOids(client, publications)};
    })();
    answer.catch(() => {});
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const say = `PostgreSQL at ${describeUrl(this.#url)} does not answer within ${PATIENCE_MS / 1000} s.`;
      timer = setTimeout(() => reject(new UpstreamUnreachable(say)), PATIENCE_MS);
    });
    let failed = false;
    connecting.catch(() => {
      failed = true;
    });
    try {
      return await Promise.race([answer, late]);
    } catch (error) {
      // One that is still being opened has a limit of its own.
      if (connected || failed) this.#close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #unanswered(error: unknown): void {
    const {faults} = this.#status;
    const fault =
      error instanceof DaemonError
        ? error
        : (upstreamFault(error) ??
          new UpstreamUnreachable('PostgreSQL does not say how the slot is.', {cause: error}));
    // That the stream is broken for the same reason is said already.
    const told = faults.get('replication')?.code === fault.code;
    faults.set('upstream', told ? null : fault);
  }

  #close(): void {
    const client = this.#client;
    this.#client = null;
    void client?.then(opened => opened.end()).catch(() => {});
  }
}

const replaced = (
  known: Readonly<Record<string, number>>,
  found: Readonly<Record<string, number>>,
): DaemonError | null => {
  try {
    comparePublications(known, found);
    return null;
  } catch (error) {
    if (error instanceof DaemonError) return error;
    throw error;
  }
};
