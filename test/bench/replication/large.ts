import {issueByID, WATCHED} from '../data/queries.ts';
import {BenchServer, type Kind} from '../helpers/bench-server.ts';
import {Commits} from '../helpers/commits.ts';
import {pssBytes, samplePeak} from '../helpers/process-tree.ts';
import {RawClient} from '../helpers/raw-client.ts';
import {sleep} from '../helpers/wait.ts';
import type {Bench, World} from '../helpers/world.ts';

const MB = 1024 * 1024;

/** T24, T25: very large transactions. */
export const large: Bench = {
  name: 'large',
  figures: ['T24', 'T25'],
  run: async (world, kind) => {
    if (world.wants('T24') && kind === 'ours') await memory(world, kind);
    if (world.wants('T25')) await latency(world, kind);
  },
};

/** One transaction updates every row of a table of its own: 2,000,000 at scale 1. */
const memory = (world: World, kind: Kind): Promise<void> =>
  world.withDatabase('tracker', async (url, appID) => {
    const commits = await Commits.open(url);
    await commits.query(`
      CREATE TABLE big (id int PRIMARY KEY, n int NOT NULL, text text NOT NULL);
      INSERT INTO big SELECT i, 0, 'row ' || md5(i::text) FROM generate_series(1, ${Math.round(2_000_000 * world.scale)}) i`);
    const server = await BenchServer.start({kind, upstream: url, appID, env: world.envOf(kind)});
    const client = new RawClient({url: server.url, keep: 'rows'});
    try {
      await client.connect([issueByID(0)]);
      await client.got([issueByID(0)]);
      await sleep(3000);
      const [replicator] = server.pids('replicator');
      if (!replicator) throw new Error('there is no replicator process');
      const idleBytes = pssBytes(replicator);
      const peak = samplePeak(() => pssBytes(replicator));
      await commits.query('UPDATE big SET n = n + 1');
      const title = await commits.touchWatched();
      await client.until(() => client.reader.rows.get(`issue/${WATCHED}`)?.['title'] === title);
      world.report(kind, 'T24', (peak.stop() - idleBytes) / MB);
    } finally {
      client.close();
      await commits.close();
      await server.stop();
    }
  });

/** One transaction updates all issues: 200,000 at scale 1. */
const latency = (world: World, kind: Kind): Promise<void> =>
  world.withServer(kind, 'tracker', async (server, url) => {
    const commits = await Commits.open(url);
    const client = new RawClient({url: server.url, keep: 'rows'});
    const row = () => client.reader.rows.get(`issue/${WATCHED}`);
    try {
      await client.connect([issueByID(0)]);
      await client.got([issueByID(0)]);
      server.profileFromHere();
      for (let round = 0; round < world.rounds; round++) {
        const priority = 10 + round;
        await commits.query(`BEGIN; UPDATE issue SET priority = ${priority}`);
        const startedAt = performance.now();
        await commits.query('COMMIT');
        await client.until(() => row()?.['priority'] === priority);
        world.report(kind, 'T25', (performance.now() - startedAt) / 1000);
      }
    } finally {
      client.close();
      await commits.close();
    }
  });
