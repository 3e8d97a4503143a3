import {finished} from 'node:stream/promises';
import pg from 'pg';
import {from as copyFrom} from 'pg-copy-streams';
import {ChangeLogUnavailable, DaemonError, TakenOver} from '../errors.ts';
import type {Version} from '../pg/lsn.ts';
import {changeLogSchema} from './schema.ts';
import {unavailable} from './unavailable.ts';

const DELIMITER = "E'\\x02'";
const COPY_FORMAT = `(FORMAT csv, DELIMITER ${DELIMITER}, QUOTE E'\\x01')`;

/** Lines of so many bytes at most are written by one statement. */
export const SMALL_BYTES = 64 * 1024;

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

  /**
   * A whole transaction of few lines in one round trip. Beside the stream of a quiet database the six messages of a COPY
   * cost both sides more than the lines do.
   */
  async writeWhole(lines: readonly Buffer[], last: Version): Promise<void> {
    await this.#attempt(async () => {
      const client = await this.#connect();
      const text = Buffer.concat(lines).toString();
      const results: unknown = await client.query(
        `SET LOCAL statement_timeout = ${this.#options.statementTimeoutMs};
         WITH owned AS (UPDATE ${this.#cdc}."replicationState" SET "lastWatermark" = ${pg.escapeLiteral(last)}
           WHERE owner = ${pg.escapeLiteral(this.#options.owner)} RETURNING 1)
         INSERT INTO ${this.#cdc}."changeLog" (watermark, pos, change, precommit)
         SELECT split_part(line, ${DELIMITER}, 1), split_part(line, ${DELIMITER}, 2)::int8,
           split_part(line, ${DELIMITER}, 3)::json, nullif(split_part(line, ${DELIMITER}, 4), '')
         FROM owned, unnest(string_to_array(${pg.escapeLiteral(text.slice(0, -1))}, E'\\n')) line`,
      );
      const {rowCount} = (results as pg.QueryResult[])[1]!;
      if (!rowCount) throw taken();
      this.#release(client);
    });
  }

  async commit(last: Version): Promise<void> {
    await this.#attempt(async () => {
      const client = await this.#begin();
      const {rowCount} = await client.query(
        `UPDATE ${this.#cdc}."replicationState" SET "lastWatermark" = $1 WHERE owner = $2`,
        [last, this.#options.owner],
      );
      if (!rowCount) throw taken();
      await client.query('COMMIT');
      this.#release(client);
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
    const client = await this.#connect();
    await client.query(`BEGIN; SET LOCAL statement_timeout = ${this.#options.statementTimeoutMs}`);
    return client;
  }

  async #connect(): Promise<pg.PoolClient> {
    const client = await this.#options.pool.connect();
    if (this.#abandoned) {
      client.release(true);
      throw new ChangeLogUnavailable('The change log is not written any more.');
    }
    this.#client = client;
    client.on('error', ignore);
    return client;
  }

  #release(client: pg.PoolClient): void {
    client.off('error', ignore);
    client.release();
    this.#client = null;
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

const taken = () => new TakenOver('Another replication-manager has taken ownership of the change log.');

/** A connection that breaks between statements is noticed by the next one. */
const ignore = () => {};

const drained = (stream: NodeJS.WritableStream): Promise<void> =>
  new Promise(resolve => stream.once('drain', () => resolve()));
