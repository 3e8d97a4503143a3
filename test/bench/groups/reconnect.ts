import {COLD} from '../data/queries.ts';
import {Commits} from '../helpers/commits.ts';
import {RawClient} from '../helpers/raw-client.ts';
import {sleep} from '../helpers/wait.ts';
import type {Bench} from '../helpers/world.ts';

const CHANGED = 1000;
/** Changes have reached the replica by then, as they have when a laptop wakes up. */
const AWAY_MS = 1500;

/** T22, T23: a client with 10,000 rows was away while 1,000 of them changed. */
export const reconnect: Bench = {
  name: 'reconnect',
  figures: ['T22', 'T23 ready', 'T23 reconnect'],
  run: (world, kind) =>
    world.withServer(kind, 'tracker', async (server, url) => {
      const commits = await Commits.open(url);
      const client = new RawClient({url: server.url, keep: 'rows'});
      const query = COLD.T6(0);
      try {
        await client.connect([query]);
        await client.got([query]);
        for (let round = 0; round < world.rounds; round++) {
          client.close();
          await changeRows(commits, `away ${round}`);
          await sleep(AWAY_MS);
          world.report(kind, 'T22', await comeBack(client, `away ${round}`));
          if (!world.wants('T23 ready', 'T23 reconnect')) continue;
          client.close();
          await changeRows(commits, `restart ${round}`);
          world.report(kind, 'T23 ready', (await server.restart()) / 1000);
          world.report(kind, 'T23 reconnect', (await comeBack(client, `restart ${round}`)) / 1000);
        }
      } finally {
        client.close();
        await commits.close();
      }
    }),
};

const changeRows = async (commits: Commits, title: string): Promise<void> => {
  await commits.query(
    `UPDATE issue SET title = '${title}' WHERE num % 10 = 0 AND num > 0 AND num <= ${CHANGED * 10}`,
  );
};

/** Ms from the connection's begin to the poke after which all changed rows are there. */
const comeBack = async (client: RawClient, title: string): Promise<number> => {
  let missing = CHANGED;
  const count = () => {
    let changed = 0;
    for (const row of client.reader.rows.values()) if (row['title'] === title) changed++;
    missing = CHANGED - changed;
  };
  const startedAt = performance.now();
  let endedAt = startedAt;
  client.onPoke = ({rowPatches}) => {
    if (rowPatches === 0) return;
    endedAt = performance.now();
    count();
  };
  await client.connect();
  await client.until(() => missing === 0);
  client.onPoke = null;
  if (client.reader.rows.size !== CHANGED * 10)
    throw new Error(`wrong answer: ${client.reader.rows.size} rows`);
  return endedAt - startedAt;
};
