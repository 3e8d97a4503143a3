import type {Zero} from '@rocicorp/zero';
import {randomTransaction} from '../e2e/random-data.ts';
import type {schema} from '../e2e/schema.ts';
import type {TestDatabase} from './postgres.ts';
import type {Random} from './random.ts';

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms));

/** Random transactions upstream until it is stopped; each raises `tick.n`. */
export const upstreamWrites = (db: TestDatabase, random: Random, everyMs = 20) => {
  let writing = true;
  let count = 0;
  const commit = async (statements: readonly string[]) => {
    const client = await db.pool.connect();
    try {
      await client.query(['BEGIN', ...statements, 'COMMIT'].join(';\n'));
      count++;
    } finally {
      client.release();
    }
  };
  const done = (async () => {
    while (writing) {
      await commit(randomTransaction(random));
      await pause(random.int(everyMs));
    }
    await commit(['UPDATE tick SET n = n + 1']);
  })();
  return {
    /** @returns the final `tick.n`. */
    stop: async (): Promise<number> => {
      writing = false;
      await done;
      return count;
    },
  };
};

/** A client that inserts labels until it is stopped. While it is offline it refuses writes; then nothing was promised. */
export const confirmedWrites = (
  client: {readonly zero: Zero<typeof schema>},
  prefix: string,
  random: Random,
) => {
  let writing = true;
  const accepted: string[] = [];
  const done = (async () => {
    for (let n = 0; writing; n++) {
      const id = `${prefix}-${String(n).padStart(5, '0')}`;
      const isAccepted = await client.zero.mutate.label.insert({id, name: `label ${n}`}).then(
        () => true,
        () => false,
      );
      if (isAccepted) accepted.push(id);
      await pause(10 + random.int(30));
    }
  })();
  return {
    /** @returns the ids of what was accepted, in order. */
    stop: async (): Promise<readonly string[]> => {
      writing = false;
      await done;
      return accepted;
    },
  };
};
