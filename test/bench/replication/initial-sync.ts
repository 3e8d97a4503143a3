import {totalRows} from '../data/rows.ts';
import {BenchServer, type Kind} from '../helpers/bench-server.ts';
import {samplePeak} from '../helpers/process-tree.ts';
import type {World} from '../helpers/world.ts';
import {firstAnswer, startEmpty} from '../start/start.ts';
import {copySeconds, importSeconds} from './limits.ts';

const MB = 1024 * 1024;

/** T3, T4: a start on the full tables, less a start on empty ones; beside it what COPY alone and `sqlite3 .import` take. */
export const initialSync = async (world: World, kind: Kind): Promise<void> => {
  const rows = totalRows(world.counts);
  for (let round = 0; round < world.rounds; round++) {
    let emptySeconds = 0;
    await startEmpty(world, kind, async (_, seconds) => {
      emptySeconds = seconds;
    });
    const {seconds, peakBytes} = await fullSync(world, kind);
    const rowsPerSecond = rows / (seconds - emptySeconds);
    world.report(kind, 'T3', rowsPerSecond);
    world.report(kind, 'T4', peakBytes / MB);
    if (kind === 'peer') continue;
    // Limits stand in the peer's column.
    if (world.wants('T3/copy')) {
      world.report('ours', 'T3/copy', rowsPerSecond);
      world.report('peer', 'T3/copy', rows / (await copySeconds(world)));
    }
    if (world.wants('T3/import')) {
      world.report('ours', 'T3/import', rowsPerSecond);
      world.report('peer', 'T3/import', rows / (await importSeconds(world)));
    }
  }
};

const fullSync = (world: World, kind: Kind): Promise<{seconds: number; peakBytes: number}> =>
  world.withDatabase('tracker', async (url, appID) => {
    const startedAt = performance.now();
    let sampled: {stop(): number} | null = null;
    const server = await BenchServer.start({
      kind,
      upstream: url,
      appID,
      env: world.envOf(kind),
      onLaunch: bytes => {
        sampled = samplePeak(bytes);
      },
    });
    try {
      const projects = await firstAnswer(server, world.counts.project);
      const seconds = (performance.now() - startedAt) / 1000;
      if (projects !== world.counts.project)
        throw new Error(`wrong answer: ${projects} projects were synced`);
      return {seconds, peakBytes: (sampled as {stop(): number} | null)?.stop() ?? Number.NaN};
    } finally {
      (sampled as {stop(): number} | null)?.stop();
      await server.stop();
    }
  });
