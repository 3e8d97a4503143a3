import {execFileSync} from 'node:child_process';
import {mkdirSync} from 'node:fs';

/** Runs npm in a folder of its own, as if from a shell: what of npm's settings comes from the run around does not apply there. */
export const npmIn = (dir: string, args: readonly string[]): void => {
  mkdirSync(dir, {recursive: true});
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  execFileSync('npm', args, {cwd: dir, env, stdio: ['ignore', 'ignore', 'inherit'], timeout: 120_000});
};
