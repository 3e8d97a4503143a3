import {join} from 'node:path';
import {type Observable, Subscription} from 'rxjs';
import type {WalFrames} from '../pg/gather-frames.ts';
import type {Lsn} from '../pg/lsn.ts';
import {type WalControl, walSource} from '../pg/wal-source.ts';
import {WAL_FILE} from './fixture.ts';
import {LineWriter} from './lines.ts';
import type {RecordedSnapshot} from './record-snapshot.ts';
import {beginOf, commitOf, frameLine} from './recording.ts';

/** Where a recording ends, whichever comes first; always between two transactions. */
export interface Bounds {
  /** Of the file. */
  readonly maxBytes: number;
  readonly maxMs?: number | undefined;
  /** Everything that commits up to here is in. */
  readonly untilLsn?: Lsn | undefined;
  /** Ends the recording when aborted. */
  readonly signal?: AbortSignal | undefined;
}

export interface RecordedWal {
  readonly transactions: number;
  readonly bytes: number;
  /** `source`: no more came. */
  readonly endedBy: 'size' | 'time' | 'position' | 'request' | 'source';
}

/** Streams the slot of a recorded snapshot into `wal.ndjson`, acknowledging what is written; ends the session that holds it, if one is given. */
export const recordWal = (
  snapshot: Pick<RecordedSnapshot, 'slot' | 'consistentPoint'> & Partial<Pick<RecordedSnapshot, 'session'>>,
  options: {
    readonly url: string;
    readonly publications: readonly string[];
    readonly dir: string;
    readonly bounds: Bounds;
    /** Called once frames can arrive. */
    readonly onStart?: () => void;
    /** Called with each position up to which everything is on file. */
    readonly onWritten?: (lsn: Lsn) => void;
  },
): Promise<RecordedWal> => {
  let control: WalControl | null = null;
  return recordFrames(
    walSource({
      url: options.url,
      slot: snapshot.slot,
      ...(snapshot.session && {session: snapshot.session}),
      publications: options.publications,
      start: snapshot.consistentPoint,
      walSenderTimeoutMs: 0,
      inboundTimeoutMs: 0,
      onOpen: opened => {
        control = opened;
        options.onStart?.();
      },
    }),
    join(options.dir, WAL_FILE),
    options.bounds,
    lsn => {
      control?.acknowledge(lsn);
      options.onWritten?.(lsn);
    },
  );
};

/** Writes frames as they come until a bound is reached; what is left of an unfinished transaction is taken back. */
export const recordFrames = (
  frames: Observable<WalFrames>,
  file: string,
  bounds: Bounds,
  written: (lsn: Lsn) => void = () => {},
): Promise<RecordedWal> =>
  new Promise((resolve, reject) => {
    const writer = new FrameWriter(file);
    const subscription = new Subscription();
    const stop = () => {
      clearTimeout(timer);
      bounds.signal?.removeEventListener('abort', onAbort);
      subscription.unsubscribe();
    };
    // What is thrown in a timer or a subscriber would reach nobody.
    const attempt = (work: () => void) => {
      try {
        work();
      } catch (error) {
        stop();
        reject(error);
      }
    };
    const end = (endedBy: RecordedWal['endedBy']) =>
      attempt(() => {
        stop();
        writer.finish();
        resolve({transactions: writer.transactions, bytes: writer.bytes, endedBy});
      });
    const onAbort = () => end('request');
    const timer = bounds.maxMs === undefined ? undefined : setTimeout(() => end('time'), bounds.maxMs);
    bounds.signal?.addEventListener('abort', onAbort);
    subscription.add(
      frames.subscribe({
        next: group =>
          attempt(() => {
            for (const frame of group) {
              const lsn = writer.write(frame);
              if (lsn !== null && bounds.untilLsn !== undefined && lsn >= bounds.untilLsn)
                return end('position');
              if (writer.size > bounds.maxBytes) return end('size');
            }
            const lsn = writer.takeBoundary();
            if (lsn !== null) written(lsn);
          }),
        error: error =>
          attempt(() => {
            stop();
            writer.finish();
            reject(error);
          }),
        complete: () => end('source'),
      }),
    );
    if (bounds.signal?.aborted) onAbort();
  });

/** Keeps track of where a whole number of transactions is in the file. */
class FrameWriter {
  readonly #lines: LineWriter;
  #open = false;
  #boundary = 0;
  #boundaryLsn: Lsn | null = null;
  transactions = 0;

  constructor(file: string) {
    this.#lines = new LineWriter(file);
  }

  get size(): number {
    return this.#lines.bytes;
  }

  get bytes(): number {
    return this.#boundary;
  }

  /** The position reached if the frame leaves no transaction open. */
  write(frame: Buffer): Lsn | null {
    this.#lines.write(frameLine(frame));
    if (beginOf(frame) !== null) this.#open = true;
    else if (commitOf(frame) !== null) {
      this.#open = false;
      this.transactions++;
    }
    if (this.#open) return null;
    this.#boundary = this.#lines.bytes;
    // A commit frame names the position it was read at in its header's second field: the end of the transaction.
    this.#boundaryLsn = frame.readBigUInt64BE(frame[0] === 0x77 ? 9 : 1);
    return this.#boundaryLsn;
  }

  /** The position up to which everything is on file, once. */
  takeBoundary(): Lsn | null {
    const lsn = this.#boundaryLsn;
    this.#boundaryLsn = null;
    if (lsn !== null) this.#lines.flush();
    return lsn;
  }

  finish(): void {
    this.#lines.truncate(this.#boundary);
    this.#lines.close();
  }
}
