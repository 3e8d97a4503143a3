import {type ChildProcess, spawn} from 'node:child_process';
import type {Identity} from './identity.ts';

/**
 * Becomes the program, and leaves behind a waiter which interrupts it when the pipe from our process closes. So it never
 * outlives us, even if we are killed.
 */
const SCRIPT = `exec 3<&0 </dev/null
( ( read -r _ <&3; kill -INT $$ ) >/dev/null 2>&1 & )
exec 3<&-
exec "$@"`;

const running = new Set<ChildProcess>();

/** Interrupts all that was started, and waits for its end. */
export const endBound = async (): Promise<void> => {
  await Promise.all(
    [...running].map(child => {
      child.kill('SIGINT');
      return new Promise(resolve => child.once('exit', resolve));
    }),
  );
};

/** Starts a program that ends with us, as `identity`, with both outputs going to `output`. */
export const spawnBound = (
  [program = '', ...args]: readonly string[],
  {identity, output}: {readonly identity: Identity; readonly output: number | 'pipe'},
): ChildProcess => {
  const env = {...process.env, LC_ALL: 'C'};
  if (process.platform === 'win32') return spawn(program, args, {stdio: ['ignore', output, output], env});
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'sh', program, ...args], {
    ...identity,
    cwd: '/',
    // A session of its own: Ctrl-C is for us, who end it last.
    detached: true,
    stdio: ['pipe', output, output],
    env,
  });
  child.stdin?.on('error', () => {});
  running.add(child);
  child.once('error', () => running.delete(child));
  child.once('exit', () => {
    running.delete(child);
    child.stdin?.destroy();
  });
  return child;
};

/** Runs a program to its end. @returns what it printed. @throws Error with that, if it fails. */
export const runBound = (command: readonly string[], identity: Identity): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawnBound(command, {identity, output: 'pipe'});
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => (printed += chunk));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve(printed);
      else reject(new Error(printed.trim() || `it ended with ${code ?? signal}`));
    });
  });
