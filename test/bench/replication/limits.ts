import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {World} from '../helpers/world.ts';

/** Seconds for every table by `COPY … TO STDOUT` to nowhere, one after the other: what PostgreSQL alone takes. */
export const copySeconds = (world: World): Promise<number> =>
  world.withDatabase('tracker', url =>
    perTable(world, table => [`psql -qc 'COPY "${table}" TO STDOUT' "$0" >/dev/null`, url]),
  );

/** The same into `sqlite3 .import`, without indexes. */
export const importSeconds = (world: World): Promise<number> =>
  world.withDatabase('tracker', async url => {
    const dir = await mkdtemp(join(tmpdir(), 'zerostream-bench-import-'));
    try {
      return await perTable(world, table => [
        `psql -qc 'COPY "${table}" TO STDOUT (FORMAT csv, HEADER)' "$0" | sqlite3 "$1" '.import --csv /dev/stdin ${table}'`,
        url,
        join(dir, 'import.db'),
      ]);
    } finally {
      await rm(dir, {recursive: true, force: true});
    }
  });

const perTable = async (world: World, script: (table: string) => readonly string[]): Promise<number> => {
  const startedAt = performance.now();
  for (const table of Object.keys(world.counts)) {
    const load = spawn('sh', ['-c', ...script(table)], {stdio: 'inherit'});
    const [code] = (await once(load, 'exit')) as [number | null];
    if (code !== 0) throw new Error(`psql or sqlite3 ended with ${code}`);
  }
  return (performance.now() - startedAt) / 1000;
};
