import {readdirSync, statSync} from 'node:fs';
import {statfs} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {SnapshotUnavailable} from '../errors.ts';
import type {Log} from '../observe/log.ts';
import type {Version} from '../pg/lsn.ts';
import {deleteReplica} from '../replica/open.ts';
import {copyAside} from './copy-aside.ts';
import type {PurgeFloor, Reservation} from './floor.ts';
import {etagOf, type SnapshotOffer, type SnapshotRefusal} from './snapshot-offer.ts';

/** A copy that is handed out. Whoever reads it holds it. */
export interface Copy {
  readonly offer: SnapshotOffer;
  readonly path: string;
  /** Until the returned function is called the file stays. */
  hold(): () => void;
}

export interface CopiesOptions {
  readonly file: string;
  readonly floor: PurgeFloor;
  /** What the replica holds now; null while there is none. */
  readonly watermark: () => Version | null;
  readonly log: Log;
  /** The program that copies, where it is not beside ours. */
  readonly copyProgram?: URL | undefined;
}

/** Nodes that come within this time of the copy share it. */
const SHARED_MS = 60_000;
/** So long a copy stays after its last reader, for broken downloads; and the log for those who have yet to subscribe. */
const KEPT_MS = 5 * 60_000;
/** One that is being read while the next is made. */
const MAX_COPIES = 2;
/** Of the replica's size, free on its disk before a copy is begun. */
const ROOM = 1.2;

/**
 * Copies of the replica for other nodes: made in a process of their own, shared by all who come within a minute, deleted
 * some minutes after the last of them. The change log is kept from a copy's watermark until then (D-046).
 */
export class SnapshotCopies {
  readonly #options: CopiesOptions;
  readonly #prefix: string;
  readonly #stop = new AbortController();
  #kept: KeptCopy[] = [];
  #making: {readonly path: string; readonly stop: AbortController} | null = null;
  #count = 0;

  constructor(options: CopiesOptions) {
    this.#options = options;
    this.#prefix = `${options.file}.snapshot-`;
    this.#removeLeftovers();
  }

  /** A copy is being made: the replica's WAL is pinned, and will not be shorter before it is complete. */
  get isMaking(): boolean {
    return this.#making !== null;
  }

  /** The copy with this tag, if it is still there: for downloads that were broken. */
  byTag(etag: string): Copy | null {
    return this.#kept.find(copy => etagOf(copy.offer) === etag) ?? null;
  }

  /** A recent copy; or why there is none yet, while one is made. `anew`: the asker has found the present one damaged. */
  async current(anew = false): Promise<Copy | SnapshotRefusal> {
    const newest = this.#kept.at(-1);
    if (newest && !(anew && newest.ageMs > ANEW_MS) && newest.ageMs < SHARED_MS) return newest;
    if (this.#making) return this.#preparing(this.#making.path);
    const watermark = this.#options.watermark();
    if (this.#stop.signal.aborted || watermark === null)
      return {reason: 'starting', message: 'There is no replica yet: it is being built.'};
    const idle = this.#kept.find(copy => !copy.isHeld);
    if (this.#kept.length >= MAX_COPIES && !idle)
      return {reason: 'busy', message: 'Older copies are still being read.'};
    if (this.#kept.length >= MAX_COPIES) this.#drop(idle!);
    // Begun before the first wait, so that whoever comes meanwhile finds it.
    const path = `${this.#prefix}${++this.#count}`;
    const making = {path, stop: new AbortController()};
    this.#making = making;
    let hasRoom = false;
    try {
      const shortage = await this.#shortage();
      hasRoom = shortage === null;
      if (shortage) {
        this.#options.log.error(shortage);
        return {reason: 'no-room', message: shortage};
      }
    } finally {
      // Also where nobody could say: the file may be away for a moment, and others come again.
      if (!hasRoom) this.#making = null;
    }
    void this.#make(making, watermark);
    return this.#preparing(path);
  }

  /** The replica is going to be another one: what was copied of it leads nowhere. */
  forget(): void {
    this.#making?.stop.abort();
    for (const copy of this.#kept) this.#drop(copy);
  }

  close(): void {
    this.#stop.abort();
    this.forget();
  }

  async #make({path, stop}: {path: string; stop: AbortController}, watermark: Version): Promise<void> {
    const {file, floor, log, copyProgram} = this.#options;
    const startedMs = Date.now();
    const reservation = floor.reserve(watermark);
    try {
      const offer = await copyAside(file, path, stop.signal, copyProgram);
      if (stop.signal.aborted) throw new SnapshotUnavailable('The replica is being replaced.');
      reservation.advance(offer.watermark);
      log.info(
        {bytes: offer.bytes, watermark: offer.watermark, ms: Date.now() - startedMs},
        'copied the replica for other nodes',
      );
      const copy: KeptCopy = new KeptCopy(offer, path, reservation, () => this.#drop(copy));
      this.#kept.push(copy);
    } catch (error) {
      deleteReplica(path);
      reservation.release();
      if (!stop.signal.aborted) log.error((error as Error).message);
    } finally {
      this.#making = null;
    }
  }

  #drop(copy: KeptCopy): void {
    this.#kept = this.#kept.filter(other => other !== copy);
    // Whoever still reads it has it open, and reads it to its end.
    deleteReplica(copy.path);
    copy.end();
  }

  #preparing(path: string): SnapshotRefusal {
    const size = (name: string) => statSync(name, {throwIfNoEntry: false})?.size ?? 0;
    const share = Math.min(size(path) / (size(this.#options.file) || 1), 1);
    return {
      reason: 'preparing',
      message: `The replica is being copied, ${Math.round(share * 100)} % so far.`,
    };
  }

  async #shortage(): Promise<string | null> {
    const {file} = this.#options;
    const bytes = statSync(file).size;
    const {bavail, bsize} = await statfs(dirname(file));
    if (bavail * bsize >= bytes * ROOM) return null;
    return `There is no room to copy the replica for other nodes: ${bytes} bytes, and ${bavail * bsize} free beside it.`;
  }

  #removeLeftovers(): void {
    const folder = dirname(this.#options.file);
    const name = basename(this.#prefix);
    let entries: string[] = [];
    try {
      entries = readdirSync(folder);
    } catch {
      return; // The replica's folder is made by the sync.
    }
    for (const entry of entries) if (entry.startsWith(name)) deleteReplica(join(folder, entry));
  }
}

/** Somebody who finds a copy damaged gets another one, but not one for each attempt. */
const ANEW_MS = 10_000;

class KeptCopy implements Copy {
  readonly offer: SnapshotOffer;
  readonly path: string;
  readonly #madeMs = Date.now();
  readonly #reservation: Reservation;
  readonly #expire: () => void;
  #holds = 0;
  #timer: NodeJS.Timeout;

  constructor(offer: SnapshotOffer, path: string, reservation: Reservation, expire: () => void) {
    this.offer = offer;
    this.path = path;
    this.#reservation = reservation;
    this.#expire = expire;
    this.#timer = this.#wait();
  }

  get ageMs(): number {
    return Date.now() - this.#madeMs;
  }

  get isHeld(): boolean {
    return this.#holds > 0;
  }

  hold(): () => void {
    this.#holds++;
    clearTimeout(this.#timer);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (--this.#holds === 0) this.#timer = this.#wait();
    };
  }

  /** The file is gone; its receivers may still have to subscribe. */
  end(): void {
    clearTimeout(this.#timer);
    setTimeout(() => this.#reservation.release(), KEPT_MS).unref();
  }

  #wait(): NodeJS.Timeout {
    return setTimeout(this.#expire, KEPT_MS).unref();
  }
}
