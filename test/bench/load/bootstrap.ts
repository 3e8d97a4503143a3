import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import pg from 'pg';
import {SNAPSHOT_PATH} from '../../../src/nodes/snapshot-offer.ts';
import {Commits} from '../helpers/commits.ts';
import {median, quantile} from '../helpers/statistics.ts';
import {sleep} from '../helpers/wait.ts';
import type {World} from '../helpers/world.ts';
import {Cluster, SECRET} from './cluster.ts';
import {Fleet} from './fleet.ts';

const BASE_MS = 8000;
const PAUSE_MS = 20;

/**
 * How long a change takes to a client of a view-syncer while other nodes fetch the replica all at once, beside how long it
 * takes while none does. Returns Markdown.
 */
export const runBootstrap = (world: World, nodes: number): Promise<string> =>
  world.withDatabase('tracker', async (url, appID) => {
    const [commits, client] = [await Commits.open(url), new pg.Client(url)];
    await client.connect();
    const cluster = await Cluster.start(world, {url, appID, client}, 1);
    const fleet = new Fleet(cluster.urls, commits, world.counts);
    try {
      await fleet.growTo(1);
      const quiet = await latencies(fleet, sleep(BASE_MS));
      const startedAt = performance.now();
      const fetches = receive(cluster.uri, nodes);
      const busy = await latencies(fleet, fetches);
      const seconds = (performance.now() - startedAt) / 1000;
      const bytes = Number((await fetches).stdout) / nodes;
      return [
        `${nodes} nodes fetched a replica of ${(bytes / 1e6).toFixed(0)} MB in ${seconds.toFixed(1)} s, all at once`,
        '',
        '| commit → client of a view-syncer | changes | p50 | p99 | longest |',
        '|---|---|---|---|---|',
        line('while no node fetches', quiet),
        line('while they fetch', busy),
        '',
      ].join('\n');
    } finally {
      fleet.close();
      await cluster.stop();
      await commits.close();
      await client.end();
    }
  });

/**
 * Receives the replica so many times at once, in a process of its own, so that what is measured is the node that hands it
 * out; prints the bytes in all.
 */
const RECEIVER = `
const [uri, secret, nodes] = process.argv.slice(1);
const receive = async () => {
  for (;;) {
    const answer = await fetch(uri, {headers: {authorization: 'Bearer ' + secret}});
    let bytes = 0;
    for await (const chunk of answer.body) bytes += chunk.length;
    if (answer.status === 200) return bytes;
    if (answer.status !== 503) throw new Error('status ' + answer.status);
    await new Promise(resolve => setTimeout(resolve, 1000));
  }
};
Promise.all(Array.from({length: Number(nodes)}, receive)).then(all => console.log(all.reduce((a, b) => a + b)));
`;

const receive = (uri: string, nodes: number) =>
  promisify(execFile)(process.execPath, [
    '-e',
    RECEIVER,
    `${uri.replace(/^ws/, 'http')}${SNAPSHOT_PATH}`,
    SECRET,
    String(nodes),
  ]);

/** Ms of one change after the other until `end` settles. */
const latencies = async (fleet: Fleet, end: Promise<unknown>): Promise<number[]> => {
  let running = true;
  const ended = end.finally(() => {
    running = false;
  });
  ended.catch(() => {});
  const times: number[] = [];
  while (running) {
    const startedAt = performance.now();
    await fleet.changeShared();
    times.push(performance.now() - startedAt);
    await sleep(PAUSE_MS);
  }
  await ended;
  return times;
};

const line = (name: string, times: readonly number[]): string => {
  const cells = [median(times), quantile(times, 0.99), Math.max(...times)].map(ms => `${ms.toFixed(1)} ms`);
  return `| ${[name, times.length, ...cells].join(' | ')} |`;
};
