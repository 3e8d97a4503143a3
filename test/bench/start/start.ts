import pg from 'pg';
import {tables} from '../data/ddl.ts';
import {zql} from '../data/schema.ts';
import {BenchServer, type Kind} from '../helpers/bench-server.ts';
import {RawClient, wireQuery} from '../helpers/raw-client.ts';
import type {Bench, World} from '../helpers/world.ts';

const IDLE_MS = 3000;
const MB = 1024 * 1024;

/** T1, T2: tables without rows. (T23, the restart, is measured where its synced rows are: bench "reconnect".) */
export const start: Bench = {
  name: 'start',
  figures: ['T1', 'T2'],
  run: async (world, kind) => {
    for (let round = 0; round < world.rounds; round++)
      await startEmpty(world, kind, async (server, seconds) => {
        world.report(kind, 'T1', seconds);
        if (!world.wants('T2')) return;
        await new Promise(resolve => setTimeout(resolve, IDLE_MS));
        world.report(kind, 'T2', server.memoryBytes() / MB);
      });
  },
};

/** Starts a server on empty tables and gives `work` the seconds until a first query was answered. */
export const startEmpty = (
  world: World,
  kind: Kind,
  work: (server: BenchServer, seconds: number) => Promise<void>,
): Promise<void> =>
  world.withDatabase('empty', async (url, appID) => {
    const client = new pg.Client(url);
    await client.connect();
    await client.query(tables);
    await client.end();
    const startedAt = performance.now();
    const server = await BenchServer.start({kind, upstream: url, appID, env: world.envOf(kind)});
    try {
      await firstAnswer(server, 0);
      await work(server, (performance.now() - startedAt) / 1000);
    } finally {
      await server.stop();
    }
  });

/** Connects and asks for the projects, until so many are there: the permissions may come after the first answer. */
export const firstAnswer = async (server: BenchServer, expected: number): Promise<number> => {
  const client = new RawClient({url: server.url, keep: 'rows'});
  const query = wireQuery(zql.project.limit(1000));
  try {
    await client.connect([query]);
    await client.got([query]);
    await client.until(() => client.reader.rows.size >= expected);
    return client.reader.rows.size;
  } finally {
    client.close();
  }
};
