// Bundles the bench and, unless told otherwise, the servers, then runs the bench: `npm run bench -- --help`.
import {execFileSync} from 'node:child_process';
import {rm} from 'node:fs/promises';
import {pathToFileURL} from 'node:url';
import {build} from 'esbuild';

// Below node_modules, so that packages resolve; of its own, so that two runs do not meet.
const outfile = `node_modules/.cache/zerostream-bench/bench-${process.pid}.mjs`;
await build({
  entryPoints: ['test/bench/main.ts'],
  outfile,
  bundle: true,
  packages: 'external',
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  sourcemap: 'inline',
  logLevel: 'warning',
});
if (!['--no-build', '--help', '-h'].some(flag => process.argv.includes(flag)))
  execFileSync(process.execPath, ['src/build.mjs'], {stdio: 'inherit'});
try {
  await import(pathToFileURL(outfile).href);
} finally {
  await rm(outfile, {force: true});
}
