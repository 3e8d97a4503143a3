import pg from 'pg';
import {WATCHED} from '../data/queries.ts';
import type {Counts} from '../data/rows.ts';

/** Commits changes upstream on connections of its own. */
export class Commits {
  readonly #client: pg.Client;
  /** Its commits do not wait for the disk, for the producer is not what is measured; the WAL leaves some ms later. */
  readonly #hasty: pg.Client;
  #n = 0;

  private constructor(client: pg.Client, hasty: pg.Client) {
    this.#client = client;
    this.#hasty = hasty;
  }

  static async open(url: string): Promise<Commits> {
    const [client, hasty] = [new pg.Client(url), new pg.Client(url)];
    for (const one of [client, hasty]) {
      one.on('error', () => {});
      await one.connect();
    }
    await hasty.query('SET synchronous_commit = off');
    return new Commits(client, hasty);
  }

  /** Changes the issue that is watched; returns its new title. */
  async touchWatched(): Promise<string> {
    return this.touch(WATCHED);
  }

  /** One transaction that gives the issue a new title, returned, and moves its `updated` to now. */
  async touch(id: string): Promise<string> {
    const title = `change ${++this.#n}`;
    await this.#client.query('UPDATE issue SET title = $1, updated = now() WHERE id = $2', [title, id]);
    return title;
  }

  /** One transaction that gives the issue a new title and leaves it where it is in every order. */
  async retitle(id: string): Promise<void> {
    await this.#client.query('UPDATE issue SET title = $1 WHERE id = $2', [`change ${++this.#n}`, id]);
  }

  /** `many` makes single-row transactions within the server, faster than a client could. */
  async prepareMany(counts: Counts): Promise<void> {
    await this.#client.query(`
      CREATE PROCEDURE bench_commits(first int, n int) LANGUAGE plpgsql AS $body$
      BEGIN
        FOR k IN first .. first + n - 2 LOOP
          UPDATE issue SET title = 'change ' || k, updated = now()
          WHERE id = 'i' || lpad((k::bigint * 7919 % ${counts.issue})::text, 7, '0');
          COMMIT;
        END LOOP;
        UPDATE issue SET title = 'seq ' || first + n - 1 WHERE id = '${WATCHED}';
        COMMIT;
      END $body$`);
  }

  /** Commits `n` single-row transactions; the last gives the watched issue the title `seq <first + n - 1>`. */
  async many(first: number, n: number): Promise<void> {
    await this.#hasty.query(`CALL bench_commits(${first}, ${n})`);
  }

  /** `manyRows` makes transactions of many rows within the server. */
  async prepareRows(counts: Counts): Promise<void> {
    await this.#client.query(`
      CREATE PROCEDURE bench_rows(first int, n int, size int) LANGUAGE plpgsql AS $body$
      DECLARE
        at bigint;
      BEGIN
        FOR k IN first .. first + n - 1 LOOP
          at := k::bigint * size % ${counts.comment};
          UPDATE comment SET body = k || substr(body, strpos(body, ' '))
          WHERE id >= 'c' || lpad(at::text, 7, '0') AND id < 'c' || lpad((at + size)::text, 7, '0');
          IF k = first + n - 1 THEN
            UPDATE issue SET title = 'seq ' || k WHERE id = '${WATCHED}';
          END IF;
          COMMIT;
        END LOOP;
      END $body$`);
  }

  /** Commits `n` transactions of `size` rows each; the last also gives the watched issue the title `seq <first + n - 1>`. */
  async manyRows(first: number, n: number, size: number): Promise<void> {
    await this.#hasty.query(`CALL bench_rows(${first}, ${n}, ${size})`);
  }

  async query(sql: string): Promise<pg.QueryResult> {
    return this.#client.query(sql);
  }

  async close(): Promise<void> {
    await this.#client.end();
    await this.#hasty.end();
  }
}
