import {issueByID} from '../data/queries.ts';
import {issueID} from '../data/rows.ts';
import type {Kind} from '../helpers/bench-server.ts';
import {Commits} from '../helpers/commits.ts';
import {RawClient} from '../helpers/raw-client.ts';
import {cpuOf, sleep} from '../helpers/wait.ts';
import type {Bench, World} from '../helpers/world.ts';
import {connectAll} from './fan-out.ts';

const GROUPS = 200;
const MANY = 5000;
const UNRELATED = 50;
const RELATED = 50;
/** Far enough apart that no server takes two changes for one. */
const APART_MS = 100;

/** T18, T19: groups that watch one issue each, by its id. */
export const points: Bench = {
  name: 'points',
  figures: ['T18', 'T18 5000', 'T19'],
  run: async (world, kind) => {
    if (world.wants('T18', 'T19')) await withPoints(world, kind, GROUPS, world.rounds);
    if (world.wants('T18 5000') && kind === 'ours') await withPoints(world, kind, MANY, 1);
  },
};

const withPoints = (world: World, kind: Kind, n: number, rounds: number): Promise<void> =>
  world.withServer(kind, 'tracker', async (server, url) => {
    const commits = await Commits.open(url);
    const clients = Array.from({length: n}, () => new RawClient({url: server.url}));
    const distinct = Math.min(n, world.counts.issue >> 1);
    try {
      await connectAll(clients, i => [issueByID(i % distinct)]);
      await sleep(1000);
      for (let round = 0; round < rounds; round++) {
        server.profileFromHere();
        const idleMs = await cpuOf(server, () => sleep(UNRELATED * APART_MS));
        const cpuMs = await cpuOf(server, async () => {
          for (let i = 0; i < UNRELATED; i++) {
            await commits.touch(issueID(distinct + ((i * 31 + round) % distinct)));
            await sleep(APART_MS);
          }
        });
        world.report(kind, n === MANY ? 'T18 5000' : 'T18', Math.max(0, cpuMs - idleMs) / UNRELATED);
        if (n !== MANY) world.report(kind, 'T19', (await related(server, clients, commits)) / RELATED);
      }
      const told = clients.filter(client => client.reader.rowPatches !== 1).length;
      const wanted = n === MANY ? 0 : RELATED;
      if (told !== wanted)
        throw new Error(`wrong answer: ${told} groups were told of changes instead of ${wanted}`);
    } finally {
      for (const client of clients) client.close();
      await commits.close();
    }
  });

/** Changes that concern one group each, which is told of it before the next. */
const related = (
  server: {cpuMs(): number},
  clients: readonly RawClient[],
  commits: Commits,
): Promise<number> =>
  cpuOf(server, async () => {
    for (let i = 0; i < RELATED; i++) {
      const client = clients[i]!;
      const before = client.reader.rowPatches;
      await commits.touch(issueID(i));
      await client.until(() => client.reader.rowPatches > before);
      await sleep(5);
    }
  });
