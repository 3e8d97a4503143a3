import {execFileSync} from 'node:child_process';
import {cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs';
import {dirname, join, resolve} from 'node:path';
import {transformSync} from 'esbuild';

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
  readonly bin: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;

/** What a clone is after `npm ci`, without copying what is only read. */
export const makeClone = (folder: string): void => {
  mkdirSync(folder, {recursive: true});
  for (const name of ['package.json', 'package-lock.json', 'README.md', 'dist', 'fixtures/wal'])
    cpSync(name, join(folder, name), {recursive: true, preserveTimestamps: true});
  for (const name of ['node_modules', 'src', 'pipelines', 'test', 'fixtures/demo-page'])
    symlinkSync(resolve(name), join(folder, name));
};

/** A project that has installed the package as `npm pack` makes it. */
export const makeConsumer = (folder: string): void => {
  const modules = join(folder, 'node_modules');
  const home = join(modules, 'zerostream');
  mkdirSync(home, {recursive: true});
  const [packed] = JSON.parse(
    execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  ) as {filename: string}[];
  execFileSync('tar', ['-xzf', join(folder, packed!.filename), '-C', home, '--strip-components=1']);
  for (const name of Object.keys({
    ...manifest.dependencies,
    ...manifest.optionalDependencies,
    '@types/node': '',
  }))
    if (existsSync(join('node_modules', name))) {
      mkdirSync(dirname(join(modules, name)), {recursive: true});
      symlinkSync(resolve('node_modules', name), join(modules, name));
    }
  mkdirSync(join(modules, '.bin'));
  for (const [name, file] of Object.entries(manifest.bin))
    symlinkSync(join('..', 'zerostream', file), join(modules, '.bin', name));
  writeFileSync(join(folder, 'package.json'), '{"name": "consumer", "private": true, "type": "module"}');
};

/** Type-checks programs in a consumer's folder against the package's types, and leaves a `.js` beside each. @throws Error */
export const compile = (folder: string, programs: Readonly<Record<string, string>>): void => {
  for (const [name, source] of Object.entries(programs)) {
    writeFileSync(join(folder, `${name}.ts`), source);
    writeFileSync(
      join(folder, `${name}.js`),
      transformSync(source, {loader: 'ts', format: 'esm', target: 'node20'}).code,
    );
  }
  try {
    execFileSync(
      process.execPath,
      [
        resolve('node_modules/typescript/bin/tsc'),
        ...['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023'],
        ...['--noUncheckedIndexedAccess', '--types', 'node'],
        ...Object.keys(programs).map(name => `${name}.ts`),
      ],
      {cwd: folder, encoding: 'utf8', stdio: 'pipe'},
    );
  } catch (error) {
    throw new Error((error as {stdout: string}).stdout);
  }
};
