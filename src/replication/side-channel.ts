import type {Lsn} from '../pg/lsn.ts';
import type {Batch} from './batch.ts';

interface Waiting {
  readonly batch: Batch;
  resolve(): void;
  reject(error: Error): void;
}

/**
 * The way of what does not come from the stream into its chain: schemas read from the catalog, rows read beside the stream.
 * Each is taken between two upstream transactions; whoever pushes waits until it is applied.
 */
export class SideChannel {
  #waiting: Waiting[] = [];
  #watchers: {lsn: Lsn; resolve(): void; reject(error: Error): void}[] = [];
  #position: Lsn = 0n;
  #wake: () => void = () => {};
  #closed = false;

  /** Resolves when the batch is applied. Rejects when the chain ends first. */
  push(batch: Batch): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new ChainEnded());
      this.#waiting.push({batch, resolve, reject});
      this.#wake();
    });
  }

  /** Resolves when everything that committed before `lsn` has been applied. Rejects when the chain ends first. */
  reached(lsn: Lsn): Promise<void> {
    if (this.#position >= lsn) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new ChainEnded());
      this.#watchers.push({lsn, resolve, reject});
    });
  }

  /** For the stage that takes from here: called whenever there is something to take. */
  onPush(wake: () => void): void {
    this.#wake = wake;
  }

  /** What `take` gives. */
  get next(): Batch | undefined {
    return this.#waiting[0]?.batch;
  }

  take(): Waiting | undefined {
    return this.#waiting.shift();
  }

  advance(lsn: Lsn): void {
    if (lsn <= this.#position) return;
    this.#position = lsn;
    const due = this.#watchers.filter(watcher => watcher.lsn <= lsn);
    if (!due.length) return;
    this.#watchers = this.#watchers.filter(watcher => watcher.lsn > lsn);
    for (const watcher of due) watcher.resolve();
  }

  close(): void {
    this.#closed = true;
    for (const waiting of [...this.#waiting, ...this.#watchers]) waiting.reject(new ChainEnded());
    this.#waiting = [];
    this.#watchers = [];
  }
}

/** Not a fault: the chain that was to apply something is gone, and what was to be applied is found again by the next. */
export class ChainEnded extends Error {
  constructor() {
    super('the replication chain ended');
  }
}
