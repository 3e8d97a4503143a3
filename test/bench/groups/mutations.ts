import pg from 'pg';
import {until} from '../../helpers/until.ts';
import {issueByID} from '../data/queries.ts';
import {issueID} from '../data/rows.ts';
import type {Kind} from '../helpers/bench-server.ts';
import {RawClient} from '../helpers/raw-client.ts';
import {quantile} from '../helpers/statistics.ts';
import {sleep} from '../helpers/wait.ts';
import type {Bench, World} from '../helpers/world.ts';

const SINGLE = 200;
const BURST = 500;
const CLIENTS = 10;

/** T20, T21: CRUD mutations, confirmed by the poke that carries their id. */
export const mutations: Bench = {
  name: 'mutations',
  figures: ['T20 p50', 'T20 p99', 'T21 one', 'T21 ten'],
  run: (world, kind) =>
    world.withServer(kind, 'tracker', async (server, url) => {
      const upstream = new pg.Client(url);
      await upstream.connect();
      const clients = Array.from({length: CLIENTS}, () => new RawClient({url: server.url, keep: 'rows'}));
      try {
        for (const [i, client] of clients.entries()) {
          const query = issueByID(i);
          await client.connect([query]);
          await client.got([query]);
        }
        // The first mutation of a connection prepares what later ones find ready.
        await burst(clients, CLIENTS);
        server.profileFromHere();
        for (let round = 0; round < world.rounds; round++) {
          if (world.wants('T20 p50', 'T20 p99')) await single(world, kind, clients[0]!);
          if (world.wants('T21 one')) world.report(kind, 'T21 one', await burst(clients.slice(0, 1), BURST));
          if (world.wants('T21 ten')) world.report(kind, 'T21 ten', await burst(clients, BURST));
        }
        await compare(clients, upstream);
      } finally {
        for (const client of clients) client.close();
        await upstream.end();
      }
    }),
};

const single = async (world: World, kind: Kind, client: RawClient): Promise<void> => {
  const times: number[] = [];
  for (let i = 0; i < SINGLE; i++) {
    const startedAt = performance.now();
    const id = client.updateIssue({id: issueID(0), title: `single ${i}`});
    await client.until(() => client.lastMutationID >= id);
    times.push(performance.now() - startedAt);
    await sleep(5 + (i % 7));
  }
  world.report(kind, 'T20 p50', quantile(times, 0.5));
  world.report(kind, 'T20 p99', quantile(times, 0.99));
};

/** Sends `total` mutations at once, each client its share; mutations per second until the last is confirmed. */
const burst = async (clients: readonly RawClient[], total: number): Promise<number> => {
  const each = total / clients.length;
  const startedAt = performance.now();
  await Promise.all(
    clients.map((client, i) => {
      let id = 0;
      for (let k = 0; k < each; k++) id = client.updateIssue({id: issueID(i), title: `burst ${i} ${k}`});
      return client.until(() => client.lastMutationID >= id);
    }),
  );
  return total / ((performance.now() - startedAt) / 1000);
};

/**
 * The last mutation of every client is what PostgreSQL and the client hold. PostgreSQL streams a commit a moment before
 * its other sessions see it.
 */
const compare = async (clients: readonly RawClient[], upstream: pg.Client): Promise<void> => {
  for (const [i, client] of clients.entries()) {
    const title = String(client.reader.rows.get(`issue/${issueID(i)}`)?.['title']);
    if (!/^(burst|single) /.test(title)) throw new Error(`wrong answer: ${issueID(i)} is "${title}"`);
    await until(
      async () => {
        const {rows} = await upstream.query<{title: string}>('SELECT title FROM issue WHERE id = $1', [
          issueID(i),
        ]);
        return rows[0]?.title === title;
      },
      `${issueID(i)} is "${title}" upstream, as the client was told`,
    );
  }
};
