import {LiveLog} from '../change-log/live-log.ts';
import type {SubscriberInspection} from '../observe/inspection.ts';
import type {Version} from '../pg/lsn.ts';
import {PurgeFloor, type Reservation} from './floor.ts';
import type {Subscriber} from './subscriber.ts';

/** Bytes of the newest changes that are kept in memory for subscribers, if there are any. */
const LIVE_BYTES = 32 * 1024 * 1024;
/** So long the change log is kept for a subscriber that is gone: as a rule it comes back. */
const GRACE_MS = 10 * 60_000;
/** And so long after our own start, for those who followed us, or the one before us, and come back. */
const START_GRACE_MS = 5 * 60_000;

/**
 * What the process that replicates knows of the nodes that follow it: who they are, from where on they need the change log,
 * and the newest changes. Outlives the stream from PostgreSQL, which may break and come back.
 */
export class ChangeHub {
  readonly floor = new PurgeFloor();
  readonly live: LiveLog;
  readonly #subscribers = new Set<Subscriber>();
  /** Of subscribers that are gone, by task: what is kept for them. */
  readonly #absent = new Map<string, () => void>();
  readonly #graceMs: number;
  #replicaVersion: Version | null = null;
  /** Under which other nodes reach us; null if they cannot. */
  address: string | null = null;
  /** Called when the change log begins anew: from copies of the replica that were made before, nobody can go on. */
  onLogRestart: () => void = () => {};

  constructor(options: {readonly liveBytes?: number; readonly graceMs?: number} = {}) {
    this.live = new LiveLog(options.liveBytes ?? LIVE_BYTES);
    this.#graceMs = options.graceMs ?? GRACE_MS;
  }

  /** Of the replica whose changes are served; null while there are none. */
  get replicaVersion(): Version | null {
    return this.#replicaVersion;
  }

  /** From now on there are changes to serve: of a log that is ours. */
  open(replicaVersion: Version): void {
    if (replicaVersion === this.#replicaVersion) return;
    this.#replicaVersion = replicaVersion;
    // Whoever followed before us may still be on the way.
    const start = this.floor.reserve('');
    setTimeout(() => start.release(), START_GRACE_MS).unref();
  }

  /** The replica is being rebuilt: those who followed it come back and learn of it. */
  withdraw(): void {
    this.#replicaVersion = null;
    for (const subscriber of this.#subscribers) subscriber.close();
  }

  /** Keeps the log for a subscriber. */
  reserve(taskID: string, watermark: Version): Reservation {
    const reservation = this.floor.reserve(watermark);
    this.#absent.get(taskID)?.();
    this.#absent.delete(taskID);
    return reservation;
  }

  join(subscriber: Subscriber, reservation: Reservation): void {
    this.#subscribers.add(subscriber);
    subscriber.signal.addEventListener('abort', () => {
      this.#subscribers.delete(subscriber);
      this.#keepFor(subscriber.subscription.taskID, reservation);
    });
  }

  inspect(): SubscriberInspection[] {
    return [...this.#subscribers].map(subscriber => subscriber.inspect());
  }

  #keepFor(taskID: string, reservation: Reservation): void {
    this.#absent.get(taskID)?.();
    const forget = () => {
      clearTimeout(timer);
      reservation.release();
    };
    const timer = setTimeout(() => {
      this.#absent.delete(taskID);
      reservation.release();
    }, this.#graceMs).unref();
    this.#absent.set(taskID, forget);
  }
}
