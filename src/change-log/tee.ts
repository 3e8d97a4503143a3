import type pg from 'pg';
import {Observable, type OperatorFunction} from 'rxjs';
import type {Lsn, Version} from '../pg/lsn.ts';
import {type Applied, positionOf} from '../replication/apply.ts';
import type {Backlog} from './backlog.ts';
import {asideEntries, logEntries} from './entries.ts';
import {logLines} from './lines.ts';
import type {LiveLog} from './live-log.ts';
import {purgeChangeLog} from './purge.ts';
import {LogTransaction, SMALL_BYTES} from './write.ts';

export interface TeeOptions {
  readonly pool: pg.Pool;
  readonly shard: string;
  readonly owner: string;
  /** Newest version already in the log: what is not above it is not written again. */
  readonly last: Version;
  /** Rows after which a write is not delayed any more. */
  readonly batchSize: number;
  readonly statementTimeoutMs: number;
  /** Above this many queued bytes the source is paused, below the half it goes on. */
  readonly limitBytes: number;
  readonly pause: () => void;
  readonly resume: () => void;
  /** Told of what is queued, and when nothing is. */
  readonly backlog?: Backlog;
  /** Oldest version that someone may still resume from; null: nobody reads the log. */
  readonly floor?: () => Version | null;
  /** Told of what is committed in the log. While somebody listens there, writes do not wait for company. */
  readonly live?: LiveLog;
}

/**
 * Writes wait this long for company, so that many transactions share one: nobody waits for the log itself, and for a
 * transaction alone the log would cost as much as everything else.
 */
const LINGER_MS = 500;
/** Other nodes wait for it: only what arrives together shares a write. */
const LINGER_LISTENED_TO_MS = 1;
const PURGE_EVERY_MS = 30_000;

/**
 * Copies applied batches into the change log in PostgreSQL while apply goes on, and emits each position up to which
 * everything is in both. Many transactions share one COPY; a transaction is visible in the log only as a whole.
 * @throws TakenOver if another task has taken ownership of the log, ChangeLogUnavailable.
 */
export const teeToChangeLog =
  (options: TeeOptions): OperatorFunction<Applied, Lsn> =>
  source =>
    new Observable(out => {
      const tee = new Tee(options, out.next.bind(out), out.error.bind(out));
      const subscription = source.subscribe({
        next: batch => tee.push(batch),
        error: error => out.error(error),
        complete: () => void tee.drained().then(() => out.complete()),
      });
      return () => {
        subscription.unsubscribe();
        tee.stop();
      };
    });

interface Queued {
  /** Lines for COPY. */
  lines: Buffer[];
  rows: number;
  bytes: number;
  /** Reached when the lines are committed; null: the transaction goes on in the next item, and must not be committed. */
  position: Lsn | null;
  /** Newest transaction in the lines. */
  version: Version | null;
}

class Tee {
  readonly #options: TeeOptions;
  readonly #done: (position: Lsn) => void;
  readonly #fail: (error: unknown) => void;
  readonly #transaction: LogTransaction;
  #queue: Queued[] = [];
  #bytes = 0;
  #paused = false;
  /** Newest version handed to the log. */
  #last: Version;
  #openPos = 0;
  #running: Promise<void> | null = null;
  #hurry: (() => void) | null = null;
  #stopped = false;
  #purge: {atMs: number; floor: Version | null} = {atMs: Date.now(), floor: null};

  constructor(options: TeeOptions, done: (position: Lsn) => void, fail: (error: unknown) => void) {
    this.#options = options;
    this.#done = done;
    this.#fail = fail;
    this.#last = options.last;
    this.#transaction = new LogTransaction(options);
    options.live?.begin(options.last);
    options.backlog?.onAwaited(() => this.#hurry?.());
  }

  push(batch: Applied): void {
    if (batch.kind === 'keepalive')
      this.#enqueue({lines: [], rows: 0, bytes: 0, position: batch.lsn, version: null});
    else {
      const {entries, nextPos} =
        batch.kind === 'transactions'
          ? logEntries(batch, this.#openPos)
          : {entries: asideEntries(batch), nextPos: 0};
      this.#openPos = nextPos;
      const fresh = entries.filter(entry => entry.watermark > this.#last);
      const lines = logLines(fresh);
      this.#enqueue({
        lines: [lines],
        rows: fresh.length,
        bytes: lines.length,
        position: positionOf(batch),
        version: fresh.at(-1)?.watermark ?? null,
      });
    }
    if (this.#queue.length > 1 || this.#queue[0]!.rows >= this.#options.batchSize) this.#hurry?.();
    if (!this.#paused && this.#bytes > this.#options.limitBytes) {
      this.#paused = true;
      this.#options.pause();
    }
    this.#running ??= this.#run();
  }

  async drained(): Promise<void> {
    this.#hurry?.();
    await this.#running;
  }

  stop(): void {
    this.#stopped = true;
    this.#hurry?.();
    // An open transaction is a part that will be sent again.
    this.#transaction.abandon();
  }

  #enqueue(item: Queued): void {
    this.#bytes += item.bytes;
    this.#options.backlog?.grew();
    const last = this.#queue.at(-1);
    // Whole transactions share a write; a part of one is written by itself, so that what came before can be committed.
    if (last && last.position !== null && item.position !== null) {
      last.lines.push(...item.lines);
      last.rows += item.rows;
      last.bytes += item.bytes;
      last.position = item.position;
      last.version = item.version ?? last.version;
    } else this.#queue.push(item);
  }

  async #run(): Promise<void> {
    const {live} = this.#options;
    try {
      while (this.#queue.length && !this.#stopped) {
        if (this.#mayLinger()) await this.#linger();
        const item = this.#queue.shift()!;
        const {position, version} = item;
        const alone = position !== null && item.bytes <= SMALL_BYTES && !this.#transaction.isOpen;
        const last = version ?? this.#last;
        if (item.rows) {
          if (alone) await this.#transaction.writeWhole(item.lines, last);
          else await this.#transaction.write(item.lines);
          for (const lines of item.lines) live?.write(lines);
        }
        if (position !== null) {
          const {isOpen} = this.#transaction;
          if (isOpen) await this.#transaction.commit(last);
          if (isOpen || item.rows) live?.commit(last);
          this.#last = last;
          if (this.#stopped) return;
          this.#done(position);
        }
        this.#release(item.bytes);
        if (!this.#queue.length) this.#options.backlog?.emptied();
        await this.#purgeWhenDue();
      }
    } catch (error) {
      if (!this.#stopped) this.#fail(error);
    } finally {
      // In the turn in which the queue was found empty: who waited for that may push in the next.
      this.#running = null;
    }
  }

  #mayLinger(): boolean {
    const {backlog, batchSize} = this.#options;
    return this.#queue.length === 1 && this.#queue[0]!.rows < batchSize && !backlog?.isAwaited;
  }

  #linger(): Promise<void> {
    return new Promise<void>(resolve => {
      const timer = setTimeout(resolve, this.#options.live?.isListenedTo ? LINGER_LISTENED_TO_MS : LINGER_MS);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    }).then(() => {
      this.#hurry = null;
    });
  }

  #release(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#paused && this.#bytes < this.#options.limitBytes / 2) {
      this.#paused = false;
      this.#options.resume();
    }
  }

  /** What the replica surely holds on disk may go: the position of the last time, unless someone needs more. */
  async #purgeWhenDue(): Promise<void> {
    if (this.#transaction.isOpen || Date.now() - this.#purge.atMs < PURGE_EVERY_MS) return;
    const own = this.#purge.floor;
    this.#purge = {atMs: Date.now(), floor: this.#last};
    const needed = this.#options.floor?.() ?? null;
    const floor = own !== null && needed !== null && needed < own ? needed : own;
    if (floor !== null)
      await purgeChangeLog(this.#options.pool, this.#options.shard, this.#options.owner, floor);
  }
}
