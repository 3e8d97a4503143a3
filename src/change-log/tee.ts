import type pg from 'pg';
import {Observable, type OperatorFunction} from 'rxjs';
import {TakenOver} from '../errors.ts';
import {type Lsn, lsnOfVersion, type Version} from '../pg/lsn.ts';
import type {Applied} from '../replication/apply.ts';
import {type LogEntry, logEntries} from './entries.ts';
import {changeLogSchema} from './schema.ts';

export interface TeeOptions {
  readonly pool: pg.Pool;
  readonly shard: string;
  readonly owner: string;
  /** Newest version already in the log: what is not above it is not written again. */
  readonly last: Version;
  /** Rows per INSERT. */
  readonly batchSize: number;
  readonly statementTimeoutMs: number;
  /** Above this many queued bytes the source is paused, below the half it goes on. */
  readonly limitBytes: number;
  readonly pause: () => void;
  readonly resume: () => void;
}

const PURGE_EVERY_MS = 60_000;

/**
 * Copies applied batches into the change log in PostgreSQL while apply goes on, and emits each position up to which
 * everything is in both. Many transactions share one INSERT; a transaction is visible in the log only as a whole.
 * @throws TakenOver if another task has taken ownership of the log.
 */
export const teeToChangeLog =
  (options: TeeOptions): OperatorFunction<Applied, Lsn> =>
  source =>
    new Observable(out => {
      const writer = new Writer(options, out.next.bind(out), out.error.bind(out));
      const subscription = source.subscribe({
        next: batch => writer.push(batch),
        error: error => out.error(error),
        complete: () => void writer.drained().then(() => out.complete()),
      });
      return () => {
        subscription.unsubscribe();
        writer.stop();
      };
    });

interface Queued {
  readonly entries: LogEntry[];
  /** Position reached when the entries are committed; null inside a transaction. */
  readonly position: Lsn | null;
  readonly bytes: number;
}

class Writer {
  readonly #options: TeeOptions;
  readonly #done: (position: Lsn) => void;
  readonly #fail: (error: unknown) => void;
  readonly #cdc: string;
  #queue: Queued[] = [];
  #bytes = 0;
  #paused = false;
  #last: Version;
  #openPos = 0;
  #client: pg.PoolClient | null = null;
  #running: Promise<void> | null = null;
  #stopped = false;
  #purgedAtMs = Date.now();

  constructor(options: TeeOptions, done: (position: Lsn) => void, fail: (error: unknown) => void) {
    this.#options = options;
    this.#done = done;
    this.#fail = fail;
    this.#cdc = changeLogSchema(options.shard);
    this.#last = options.last;
  }

  push(batch: Applied): void {
    if (batch.kind === 'keepalive') this.#queue.push({entries: [], position: batch.lsn, bytes: 0});
    else {
      const {entries, nextPos} = logEntries(batch, this.#openPos);
      this.#openPos = nextPos;
      const last = this.#last;
      this.#queue.push({
        entries: entries.filter(entry => entry.watermark > last),
        position: batch.version === null ? null : lsnOfVersion(batch.version),
        bytes: batch.bytes,
      });
      this.#bytes += batch.bytes;
      if (!this.#paused && this.#bytes > this.#options.limitBytes) {
        this.#paused = true;
        this.#options.pause();
      }
    }
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
  }

  async drained(): Promise<void> {
    await this.#running;
  }

  stop(): void {
    this.#stopped = true;
    // An open transaction is a part that will be sent again: the connection goes, and the transaction with it.
    this.#client?.release(true);
    this.#client = null;
  }

  async #run(): Promise<void> {
    try {
      while (this.#queue.length && !this.#stopped) {
        const taken = this.#queue;
        this.#queue = [];
        const entries = taken.flatMap(item => item.entries);
        let position: Lsn | null = null;
        for (const item of taken) position = item.position ?? position;
        const open = taken.at(-1)!.position === null;
        if (entries.length || this.#client) await this.#write(entries, open);
        if (this.#stopped) return;
        this.#release(taken);
        if (position !== null && !open) this.#done(position);
      }
      await this.#purge();
    } catch (error) {
      if (!this.#stopped) this.#fail(error);
    }
  }

  async #write(entries: readonly LogEntry[], open: boolean): Promise<void> {
    const fresh = this.#client === null;
    const client = (this.#client ??= await this.#options.pool.connect());
    if (fresh) await client.query(`BEGIN; SET LOCAL statement_timeout = ${this.#options.statementTimeoutMs}`);
    for (let at = 0; at < entries.length; at += this.#options.batchSize)
      await client.query({
        name: 'zs-change-log',
        text: `INSERT INTO ${this.#cdc}."changeLog" (watermark, pos, change, precommit)
               SELECT * FROM json_to_recordset($1) AS x(watermark TEXT, pos INT8, change JSON, precommit TEXT)
               ON CONFLICT DO NOTHING`,
        values: [recordset(entries.slice(at, at + this.#options.batchSize))],
      });
    if (open) return;
    const last = entries.at(-1)?.watermark ?? this.#last;
    const {rowCount} = await client.query(
      `UPDATE ${this.#cdc}."replicationState" SET "lastWatermark" = $1 WHERE owner = $2`,
      [last, this.#options.owner],
    );
    if (!rowCount) throw new TakenOver('Another replication-manager has taken ownership of the change log.');
    await client.query('COMMIT');
    this.#last = last;
    this.#client?.release();
    this.#client = null;
  }

  #release(taken: readonly Queued[]): void {
    for (const item of taken) this.#bytes -= item.bytes;
    if (this.#paused && this.#bytes < this.#options.limitBytes / 2) {
      this.#paused = false;
      this.#options.resume();
    }
  }

  /** Without subscribers nobody resumes from older entries; the newest always stays (replication.md §6.6). */
  async #purge(): Promise<void> {
    if (this.#client || Date.now() - this.#purgedAtMs < PURGE_EVERY_MS) return;
    this.#purgedAtMs = Date.now();
    await this.#options.pool.query(`DELETE FROM ${this.#cdc}."changeLog" WHERE watermark < $1`, [this.#last]);
  }
}

const recordset = (entries: readonly LogEntry[]): string =>
  `[${entries
    .map(
      ({watermark, pos, change, precommit}) =>
        `{"watermark":"${watermark}","pos":${pos},"change":${change},"precommit":${precommit ? `"${precommit}"` : 'null'}}`,
    )
    .join()}]`;
