import {five, WATCHED} from '../data/queries.ts';
import type {BenchServer, Kind} from '../helpers/bench-server.ts';
import {Commits} from '../helpers/commits.ts';
import {RawClient, type WireQuery} from '../helpers/raw-client.ts';
import {median} from '../helpers/statistics.ts';
import {cpuOf, sleep} from '../helpers/wait.ts';
import type {Bench, World} from '../helpers/world.ts';

const MB = 1024 * 1024;
const GROUPS = 200;
const CHANGES = 20;
/** The peer needs a minute and a half and ten gigabytes for this many. */
const MANY = {ours: 2000, peer: 500} as const;

/** T13–T17: many client groups with the same five queries. */
export const fanOut: Bench = {
  name: 'fan-out',
  figures: ['T13', 'T14', 'T15', 'T16', 'T17 hydrated', 'T17 change'],
  run: async (world, kind) => {
    if (world.wants('T13', 'T14', 'T15', 'T16'))
      for (let round = 0; round < world.rounds; round++)
        await withGroups(world, kind, GROUPS, async (fleet, {seconds, memoryBytes}) => {
          world.report(kind, 'T13', seconds);
          world.report(kind, 'T14', memoryBytes / GROUPS / MB);
          const times: number[] = [];
          const cpuMs = await cpuOf(fleet.server, async () => {
            for (let i = 0; i < CHANGES; i++) times.push(await fleet.change());
          });
          world.report(kind, 'T15', median(times));
          world.report(kind, 'T16', cpuMs / CHANGES);
        });
    if (world.wants('T17 hydrated', 'T17 change'))
      await withGroups(world, kind, MANY[kind], async (fleet, {seconds}) => {
        world.report(kind, 'T17 hydrated', seconds);
        const times: number[] = [];
        for (let i = 0; i < CHANGES; i++) times.push(await fleet.change());
        world.report(kind, 'T17 change', median(times));
      });
  },
};

interface Fleet {
  readonly server: BenchServer;
  /** Changes the row that all have; ms until the last client has been told. */
  change(): Promise<number>;
}

const withGroups = (
  world: World,
  kind: Kind,
  n: number,
  work: (fleet: Fleet, hydration: {seconds: number; memoryBytes: number}) => Promise<void>,
): Promise<void> =>
  world.withServer(kind, 'tracker', async (server, url) => {
    const commits = await Commits.open(url);
    const queries = five();
    // The first keeps its rows, to be compared; the others count what they get.
    const clients = Array.from(
      {length: n},
      (_, i) => new RawClient({url: server.url, keep: i ? 'count' : 'rows'}),
    );
    try {
      await sleep(1000);
      server.profileFromHere();
      const idleBytes = server.memoryBytes();
      const startedAt = performance.now();
      await connectAll(clients, queries);
      const seconds = (performance.now() - startedAt) / 1000;
      sameCounts(clients);
      await sleep(1000);
      const fleet = {server, change: () => change(clients, commits)};
      await work(fleet, {seconds, memoryBytes: server.memoryBytes() - idleBytes});
    } finally {
      for (const client of clients) client.close();
      await commits.close();
    }
  });

/** All at once, but for a listen queue's length of handshakes. */
export const connectAll = async (
  clients: readonly RawClient[],
  queries: readonly WireQuery[] | ((i: number) => readonly WireQuery[]),
): Promise<void> => {
  const of = (i: number) => (typeof queries === 'function' ? queries(i) : queries);
  let next = 0;
  const lane = async () => {
    while (next < clients.length) {
      const i = next++;
      await clients[i]!.connect(of(i));
    }
  };
  await Promise.all(Array.from({length: 100}, lane));
  await Promise.all(clients.map((client, i) => client.got(of(i))));
};

const change = async (clients: readonly RawClient[], commits: Commits): Promise<number> => {
  const before = clients.map(client => client.reader.rowPatches);
  const startedAt = performance.now();
  const title = await commits.touchWatched();
  await Promise.all(clients.map((client, i) => client.until(() => client.reader.rowPatches > before[i]!)));
  const ms = performance.now() - startedAt;
  if (clients[0]!.reader.rows.get(`issue/${WATCHED}`)?.['title'] !== title)
    throw new Error('wrong answer: the changed title did not arrive');
  await sleep(50);
  return ms;
};

/** Groups with the same queries hold the same rows; which rows those are, the bench "queries" checks. */
const sameCounts = (clients: readonly RawClient[]): void => {
  const wanted = clients[0]!.reader.rows.size;
  const other = clients.find(client => client.reader.rowPatches < wanted);
  if (other)
    throw new Error(
      `wrong answer: a group of the same queries got ${other.reader.rowPatches} of ${wanted} rows`,
    );
};
