import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {totalRows} from '../data/rows.ts';
import {BenchServer, type Kind} from '../helpers/bench-server.ts';
import {samplePeak} from '../helpers/process-tree.ts';
import type {Bench, World} from '../helpers/world.ts';
import {firstAnswer, startEmpty} from '../start/start.ts';

const MB = 1024 * 1024;

/** T3, T4: a start on the full tables, less a start on empty ones. */
export const sync: Bench = {
  name: 'sync',
  figures: ['T3', 'T3/import', 'T4'],
  run: async (world, kind) => {
    for (let round = 0; round < world.rounds; round++) {
      let emptySeconds = 0;
      await startEmpty(world, kind, async (_, seconds) => {
        emptySeconds = seconds;
      });
      const {seconds, peakBytes} = await fullSync(world, kind);
      const rowsPerSecond = totalRows(world.counts) / (seconds - emptySeconds);
      world.report(kind, 'T3', rowsPerSecond);
      world.report(kind, 'T4', peakBytes / MB);
      if (kind === 'ours' && world.wants('T3/import')) {
        world.report('ours', 'T3/import', rowsPerSecond);
        world.report('peer', 'T3/import', totalRows(world.counts) / (await importSeconds(world)));
      }
    }
  },
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
      const projects = await firstAnswer(server);
      const seconds = (performance.now() - startedAt) / 1000;
      if (projects !== world.counts.project)
        throw new Error(`wrong answer: ${projects} projects were synced`);
      return {seconds, peakBytes: (sampled as {stop(): number} | null)?.stop() ?? Number.NaN};
    } finally {
      (sampled as {stop(): number} | null)?.stop();
      await server.stop();
    }
  });

/** The limit beside it: every table by `COPY … TO STDOUT` into `sqlite3 .import`, one after the other. */
const importSeconds = (world: World): Promise<number> =>
  world.withDatabase('tracker', async url => {
    const dir = await mkdtemp(join(tmpdir(), 'zerostream-bench-import-'));
    try {
      const startedAt = performance.now();
      for (const table of Object.keys(world.counts)) {
        const command = `psql -qc 'COPY "${table}" TO STDOUT (FORMAT csv, HEADER)' "$0" | sqlite3 "$1" '.import --csv /dev/stdin ${table}'`;
        const load = spawn('sh', ['-c', command, url, join(dir, 'import.db')], {stdio: 'inherit'});
        const [code] = (await once(load, 'exit')) as [number | null];
        if (code !== 0) throw new Error(`psql or sqlite3 ended with ${code}`);
      }
      return (performance.now() - startedAt) / 1000;
    } finally {
      await rm(dir, {recursive: true, force: true});
    }
  });
