import {spawn} from 'node:child_process';
import {mkdirSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {build} from 'esbuild';

/** Runs a TypeScript program of this folder on any Node: `node test/run.mjs test/oracle/fuzz.ts --minutes 5`. */
const [entry, ...rest] = process.argv.slice(2);
const dir = join('node_modules', '.cache', 'zerostream-run');
mkdirSync(dir, {recursive: true});
const outfile = join(dir, `${entry.replaceAll(/[^a-z0-9]/gi, '-')}-${process.pid}.mjs`);
await build({
  entryPoints: [entry],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  packages: 'external',
  sourcemap: 'inline',
});
const child = spawn(process.execPath, ['--enable-source-maps', '--expose-gc', outfile, ...rest], {
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', code => {
  rmSync(outfile, {force: true});
  process.exit(code ?? 1);
});
