import {finished} from 'node:stream/promises';
import type pg from 'pg';
import {from as copyFrom} from 'pg-copy-streams';
import {ChangeLogUnavailable, DaemonError, TakenOver} from '../errors.ts';
import type {Version} from '../pg/lsn.ts';
import {changeLogSchema} from './schema.ts';
import {unavailable} from './unavailable.ts';

const COPY_FORMAT = "(FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01')";

export interface LogTransactionOptions {
  readonly pool: pg.Pool;
  readonly shard: string;
  readonly owner: string;
  readonly statementTimeoutMs: number;
}

/** One transaction on the change log after the other; opened by the first write. @throws ChangeLogUnavailable, TakenOver. */
export class LogTransaction {
  readonly #options: LogTransactionOptions;
  readonly #cdc: string;
  #client: pg.PoolClient | null = null;
  #abandoned = false;

  constructor(options: LogTransactionOptions) {
    this.#options = options;
    this.#cdc = changeLogSchema(options.shard);
  }

  get isOpen(): boolean {
    return this.#client !== null;
  }

  async write(lines: readonly Buffer[]): Promise<void> {
    await this.#attempt(async () => {
      const client = await this.#begin();
      const copy = client.query(
        copyFrom(
          `COPY ${this.#cdc}."changeLog" (watermark, pos, change, precommit) FROM STDIN ${COPY_FORMAT}`,
        ),
      );
      const done = finished(copy, {readable: false});
      // A broken connection may be noticed while the lines are still being written.
      done.catch(() => {});
      for (const part of lines) if (!copy.write(part)) await Promise.race([done, drained(copy)]);
      copy.end();
      await done;
    });
  }

  async commit(last: Version): Promise<void> {
    await this.#attempt(async () => {
      const client = await this.#begin();
      const {rowCount} = await client.query(
        `UPDATE ${this.#cdc}."replicationState" SET "lastWatermark" = $1 WHERE owner = $2`,
        [last, this.#options.owner],
      );
      if (!rowCount)
        throw new TakenOver('Another replication-manager has taken ownership of the change log.');
      await client.query('COMMIT');
      client.off('error', ignore);
      client.release();
      this.#client = null;
    });
  }

  /** Drops what was not committed, with its connection. */
  abandon(): void {
    this.#abandoned = true;
    this.#client?.release(true);
    this.#client = null;
  }

  async #begin(): Promise<pg.PoolClient> {
    if (this.#client) return this.#client;
    const client = await this.#options.pool.connect();
    if (this.#abandoned) {
      client.release(true);
      throw new ChangeLogUnavailable('The change log is not written any more.');
    }
    this.#client = client;
    client.on('error', ignore);
    await client.query(`BEGIN; SET LOCAL statement_timeout = ${this.#options.statementTimeoutMs}`);
    return client;
  }

  /** The server's own timeout does not help if the connection is dead: here is a second one. */
  async #attempt(work: () => Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const limit = this.#options.statementTimeoutMs * 1.5;
    try {
      await Promise.race([
        work(),
        new Promise<never>((_, reject) => {
          timer = setTimeout(
            () =>
              reject(
                new ChangeLogUnavailable(`The change log's database did not answer within ${limit} ms.`),
              ),
            limit,
          );
        }),
      ]);
    } catch (error) {
      this.abandon();
      if (error instanceof DaemonError) throw error;
      throw unavailable(error);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A connection that breaks between statements is noticed by the next one. */
const ignore = () => {};

const drained = (stream: NodeJS.WritableStream): Promise<void> =>
  new Promise(resolve => stream.once('drain', () => resolve()));
