import {until} from '../../helpers/until.ts';
import {ten, WATCHED} from '../data/queries.ts';
import type {BenchServer, Kind} from '../helpers/bench-server.ts';
import {Commits} from '../helpers/commits.ts';
import {RawClient} from '../helpers/raw-client.ts';
import {quantile} from '../helpers/statistics.ts';
import {cpuOf, sleep} from '../helpers/wait.ts';
import type {Bench, World} from '../helpers/world.ts';
import {sustain} from './sustain.ts';

const COMMITS = 200;
const SUSTAINED_MS = 6000;

/** T10–T12: one client group with ten queries while rows change upstream. */
export const changes: Bench = {
  name: 'changes',
  figures: ['T10 p50', 'T10 p99', 'T11', 'T12'],
  run: (world, kind) =>
    world.withServer(kind, 'tracker', async (server, url) => {
      const commits = await Commits.open(url);
      const client = new RawClient({url: server.url, keep: 'rows'});
      try {
        await commits.prepareMany(world.counts);
        const queries = ten();
        await client.connect(queries);
        await client.got(queries);
        server.profileFromHere();
        for (let round = 0; round < world.rounds; round++) {
          if (world.wants('T10 p50', 'T10 p99')) await latency(world, kind, client, commits);
          if (world.wants('T11', 'T12')) await throughput(world, kind, server, client, commits, round);
        }
        await compare(client, commits);
      } finally {
        client.close();
        await commits.close();
      }
    }),
};

const titleOf = (client: RawClient): unknown => client.reader.rows.get(`issue/${WATCHED}`)?.['title'];

const latency = async (world: World, kind: Kind, client: RawClient, commits: Commits): Promise<void> => {
  const times: number[] = [];
  const commitTimes: number[] = [];
  for (let i = 0; i < COMMITS; i++) {
    const startedAt = performance.now();
    const title = await commits.touchWatched();
    commitTimes.push(performance.now() - startedAt);
    await client.until(() => titleOf(client) === title);
    times.push(performance.now() - startedAt);
    await sleep(5 + (i % 7));
  }
  world.log(`${kind} T10: PostgreSQL's own part, p50 ${quantile(commitTimes, 0.5).toFixed(1)} ms`);
  world.report(kind, 'T10 p50', quantile(times, 0.5));
  world.report(kind, 'T10 p99', quantile(times, 0.99));
};

const throughput = async (
  world: World,
  kind: Kind,
  server: BenchServer,
  client: RawClient,
  commits: Commits,
  round: number,
): Promise<void> => {
  let result = {transactions: 0, perSecond: 0, worstLagMs: 0};
  const cpuMs = await cpuOf(server, async () => {
    result = await sustain({
      durationMs: SUSTAINED_MS,
      commit: (first, n) => commits.many(first + round * 10_000_000, n),
      // The last change of every batch is to the watched issue.
      seen: () => Number(/^seq (\d+)$/.exec(String(titleOf(client)))?.[1] ?? 0) - round * 10_000_000,
      onPoke: listener => {
        client.onPoke = listener;
      },
      failed: () => client.until(() => false),
    });
    client.onPoke = null;
  });
  world.log(
    `${kind} T11: ${result.transactions} transactions, worst lag ${Math.round(result.worstLagMs)} ms`,
  );
  world.report(kind, 'T11', result.perSecond);
  world.report(kind, 'T12', cpuMs / result.transactions);
};

/** After all changes the client comes to hold what PostgreSQL answers to the query that most of them touched. */
const compare = (client: RawClient, commits: Commits): Promise<void> =>
  until(async () => {
    const {rows} = await commits.query(
      "SELECT id, title FROM issue WHERE project = 'p0000' ORDER BY updated DESC, id LIMIT 50",
    );
    return (rows as {id: string; title: string}[]).every(
      ({id, title}) => client.reader.rows.get(`issue/${id}`)?.['title'] === title,
    );
  }, 'the client holds the answer of PostgreSQL');
