import {Writable} from 'node:stream';
import type pg from 'pg';

/** Serialisable when rules were read in it, so that what they saw still holds when it commits. */
export type Isolation = 'READ COMMITTED' | 'SERIALIZABLE';

const begin = (isolation: Isolation): string =>
  `BEGIN ISOLATION LEVEL ${isolation}; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 60000`;

/** Runs `work` in a transaction of its own connection; a throw of `work` rolls it back. */
export const inTransaction = async <T>(
  pool: pg.Pool,
  isolation: Isolation,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> => {
  const client = await pool.connect();
  let broken = false;
  try {
    await client.query(begin(isolation));
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {
      broken = true;
    });
    throw error;
  } finally {
    client.release(broken);
  }
};

export interface Statement {
  readonly text: string;
  readonly values: readonly (string | number | null)[];
}

/** The statement that failed in a flight, by its index; -1 for BEGIN, the count for COMMIT. */
export class FlightFailed extends Error {
  readonly index: number;

  constructor(index: number, cause: unknown) {
    super('a statement of the transaction failed', {cause});
    this.index = index;
  }
}

/** Distinct statement texts that are prepared per connection; others are parsed each time. */
const MAX_PREPARED = 500;

/**
 * Transactions whose statements are all known beforehand, sent in one go with BEGIN and COMMIT around them: one network
 * round trip for the whole. The pool's clients must be in pipeline mode.
 */
export class Flights {
  readonly #pool: pg.Pool;
  readonly #names = new Map<string, string>();

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /** Commits all statements or none. @throws FlightFailed with PostgreSQL's error as its cause. */
  async fly(isolation: Isolation, statements: readonly Statement[]): Promise<void> {
    const client = await this.#pool.connect();
    let broken = false;
    const stream = socketOf(client);
    try {
      // One system call, and one wake-up of PostgreSQL, for all of them.
      stream?.cork();
      const sent = [
        client.query(begin(isolation)),
        ...statements.map(({text, values}) =>
          client.query({name: this.#name(text), text, values: values as (string | number | null)[]}),
        ),
        client.query('COMMIT'),
      ];
      stream?.uncork();
      const results = await Promise.allSettled(sent);
      const failed = results.findIndex(({status}) => status === 'rejected');
      if (failed < 0) return;
      const {reason} = results[failed] as PromiseRejectedResult;
      // After an error PostgreSQL answers COMMIT by rolling back; without an answer the connection is gone.
      broken = results.at(-1)?.status === 'rejected';
      throw new FlightFailed(failed - 1, reason);
    } finally {
      client.release(broken);
    }
  }

  #name(text: string): string | undefined {
    let name = this.#names.get(text);
    if (name === undefined && this.#names.size < MAX_PREPARED)
      this.#names.set(text, (name = `zs-${this.#names.size}`));
    return name;
  }
}

/** pg has no name for it; without it statements are only written one by one. */
const socketOf = (client: pg.PoolClient): Writable | null => {
  const connection: unknown = Reflect.get(client, 'connection');
  const stream: unknown =
    typeof connection === 'object' && connection !== null ? Reflect.get(connection, 'stream') : null;
  return stream instanceof Writable ? stream : null;
};
