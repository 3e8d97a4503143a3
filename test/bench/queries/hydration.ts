import pg from 'pg';
import {type CheckedQuery, COLD} from '../data/queries.ts';
import type {BenchServer, Kind} from '../helpers/bench-server.ts';
import {RawClient} from '../helpers/raw-client.ts';
import {median} from '../helpers/statistics.ts';
import type {Bench, World} from '../helpers/world.ts';

const IDS = ['T5', 'T6', 'T7', 'T8', 'T9'] as const;
const SAMPLES = {T5: 15, T6: 5, T7: 15, T8: 15, T9: 15} as const;

/** Cold hydration: a new client group asks one query whose constants nobody has asked for. */
export const hydration: Bench = {
  name: 'hydration',
  figures: IDS,
  run: (world, kind) =>
    world.withServer(kind, 'tracker', async (server, url) => {
      const oracle = new pg.Client(url);
      await oracle.connect();
      try {
        // The first query of all pays for code that no later one pays for.
        for (const id of IDS) await hydrate(server, oracle, COLD[id](997, world.counts));
        server.profileFromHere();
        for (let round = 0; round < world.rounds; round++)
          for (const id of IDS)
            if (world.wants(id))
              world.report(kind, id, await measure(world, kind, server, oracle, id, round));
      } finally {
        await oracle.end();
      }
    }),
};

const measure = async (
  world: World,
  kind: Kind,
  server: BenchServer,
  oracle: pg.Client,
  id: (typeof IDS)[number],
  round: number,
): Promise<number> => {
  // A small data set has too few constants for all samples to be cold.
  const distinct = id === 'T6' ? Number.POSITIVE_INFINITY : world.counts.label;
  const samples = Math.min(SAMPLES[id], Math.max(1, Math.floor(distinct / world.rounds)));
  const times: number[] = [];
  const cpuBefore = server.cpuMs();
  for (let i = 0; i < samples; i++)
    times.push(await hydrate(server, oracle, COLD[id](round * samples + i, world.counts)));
  const cpuMs = (server.cpuMs() - cpuBefore) / samples;
  world.log(
    `${kind} ${id}, ${samples} samples: ${times.map(time => time.toFixed(1)).join(' ')} ms; CPU of each, with its new group: ${cpuMs.toFixed(1)} ms`,
  );
  return median(times);
};

/** Ms from the request to the end of the poke that says got. @throws if the rows are not PostgreSQL's answer. */
const hydrate = async (server: BenchServer, oracle: pg.Client, query: CheckedQuery): Promise<number> => {
  const client = new RawClient({url: server.url, keep: 'rows'});
  try {
    await client.connect();
    await client.until(() => client.reader.cookie !== null);
    const startedAt = performance.now();
    client.put([query]);
    await client.got([query]);
    const ms = performance.now() - startedAt;
    await check(client, oracle, query);
    return ms;
  } finally {
    client.close();
  }
};

const check = async (client: RawClient, oracle: pg.Client, {answer}: CheckedQuery): Promise<void> => {
  const {rows} = await oracle.query<{id: string}>(answer.sql);
  const wanted = rows.map(row => `${answer.table}/${row.id}`).sort();
  const found = [...client.reader.rows.keys()].filter(key => key.startsWith(`${answer.table}/`)).sort();
  if (wanted.join() !== found.join())
    throw new Error(`wrong answer: ${found.length} rows for ${wanted.length}: ${answer.sql}`);
};
