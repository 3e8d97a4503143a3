import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {createReadStream, createWriteStream, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {type FileHandle, open, rename} from 'node:fs/promises';
import {Transform} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {SnapshotDamaged} from '../errors.ts';
import {deleteReplica, openWriter} from '../replica/open.ts';
import {readReplicaState} from '../replica/sync-context.ts';
import type {SnapshotOffer} from './snapshot-offer.ts';

/** Read in full beside the digest up to this size: about two seconds. The digest says that it is the file that was sent. */
const CHECKED_BYTES = 1024 * 1024 * 1024;

/** A replica on its way, `<replica>.download`, and beside it what was offered, so that a restart goes on with it. */
export class PartialFile {
  readonly #file: string;
  readonly #path: string;
  readonly #note: string;

  constructor(file: string) {
    this.#file = file;
    this.#path = `${file}.download`;
    this.#note = `${this.#path}.json`;
  }

  /** What there is of an earlier download. */
  found(): {readonly offer: SnapshotOffer; readonly from: number} | undefined {
    try {
      const offer = JSON.parse(readFileSync(this.#note, 'utf8')) as SnapshotOffer;
      const from = statSync(this.#path).size;
      return from > 0 && from < offer.bytes ? {offer, from} : undefined;
    } catch {
      return undefined;
    }
  }

  /** Appends what comes at `start`, or begins anew with 0. */
  async receive(
    {offer, start, body}: {offer: SnapshotOffer; start: number; body: NodeJS.ReadableStream},
    onBytes: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    if (start === 0) {
      this.remove();
      writeFileSync(this.#note, JSON.stringify(offer));
    }
    let bytes = start;
    const count = new Transform({
      transform: (chunk: Buffer, _, done) => {
        bytes += chunk.length;
        onBytes(bytes);
        done(null, chunk);
      },
    });
    const out = createWriteStream(this.#path, {flags: start ? 'a' : 'w'});
    const closed = once(out, 'close');
    try {
      await pipeline(body, count, out, {signal});
    } finally {
      // A write may still be under way, and where the file ends is where the next attempt goes on.
      await closed;
    }
  }

  /** @throws SnapshotDamaged unless the file is what was offered, and a replica. */
  async check(offer: SnapshotOffer, signal: AbortSignal): Promise<void> {
    const {size} = statSync(this.#path);
    if (size !== offer.bytes)
      throw new SnapshotDamaged(`${size} of ${offer.bytes} bytes of the replica arrived.`);
    const hash = createHash('sha256');
    await pipeline(createReadStream(this.#path, {highWaterMark: 1024 * 1024}), hash, {signal});
    if (hash.digest('base64') !== offer.sha256)
      throw new SnapshotDamaged('The replica arrived with another digest than it was sent with.');
    try {
      this.#look(offer);
    } catch (error) {
      throw error instanceof SnapshotDamaged
        ? error
        : new SnapshotDamaged(`What arrived is no replica (${(error as Error).message}).`, {cause: error});
    }
  }

  #look(offer: SnapshotOffer): void {
    const db = openWriter(this.#path);
    try {
      const {replicaVersion, stateVersion} = readReplicaState(db);
      if (replicaVersion !== offer.replicaVersion || stateVersion !== offer.watermark)
        throw new SnapshotDamaged('The replica is not of the version that was offered.');
      if (offer.bytes > CHECKED_BYTES) return;
      const [answer] = db.pragma('quick_check(1)') as {quick_check: string}[];
      if (answer?.quick_check !== 'ok')
        throw new SnapshotDamaged('The replica is damaged (quick_check failed).');
    } finally {
      db.close();
    }
  }

  /** Gives the file its name, durably. What was there is gone, with everything that SQLite keeps beside it. */
  async publish(): Promise<void> {
    let handle: FileHandle | null = null;
    try {
      handle = await open(this.#path, 'r+');
      await handle.sync();
    } finally {
      await handle?.close();
    }
    deleteReplica(this.#file);
    await rename(this.#path, this.#file);
    this.remove();
  }

  remove(): void {
    deleteReplica(this.#path);
    rmSync(this.#note, {force: true});
  }
}
