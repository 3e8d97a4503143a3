import {spawn} from 'node:child_process';
import {existsSync, readFileSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {temporaryFolder} from '../helpers/dev-mode.ts';
import {makeClone} from '../helpers/newcomer.ts';

/** What is wrong with an entry point, or with what it imports at once. */
const faults = (dist: string, entry: string): string[] => {
  const text = readFileSync(join(dist, entry), 'utf8');
  const imported = [...text.matchAll(/from ?"\.\/(chunk-\w+\.js)"/g)].map(([, name]) => name!);
  if (!imported.length) return [`${entry} imports nothing`];
  return [entry, ...imported].flatMap(name => {
    if (!existsSync(join(dist, name))) return [`${name}, of ${entry}, is missing`];
    const whole = readFileSync(join(dist, name), 'utf8').includes(`//# sourceMappingURL=${name}.map`);
    return whole ? [] : [`${name}, of ${entry}, is not whole`];
  });
};

test('who starts while the bundles are made anew finds all of them', async () => {
  await using folder = await temporaryFolder();
  const clone = join(folder.path, 'zerostream');
  // Bundled in another place, the shared parts have other contents and names.
  makeClone(clone);
  const dist = join(clone, 'dist');
  const before = readFileSync(join(dist, 'zerostream.js'), 'utf8');
  const build = spawn(process.execPath, ['src/build.mjs', '--clean'], {cwd: clone, stdio: 'inherit'});
  const found = new Set<string>();
  let looks = 0;
  const ended = new Promise<number | null>(resolve => build.once('exit', resolve));
  while (build.exitCode === null) {
    for (let i = 0; i < 20; i++, looks++) {
      for (const fault of faults(dist, 'zerostream.js')) found.add(fault);
      if (!(statSync(join(dist, 'zerostream.js')).mode & 0o100)) found.add('zerostream.js is no program');
    }
    await new Promise(resolve => setImmediate(resolve));
  }
  expect(await ended).toBe(0);
  expect([...found]).toEqual([]);
  expect(looks).toBeGreaterThan(100);
  expect(readFileSync(join(dist, 'zerostream.js'), 'utf8')).not.toBe(before);
});
