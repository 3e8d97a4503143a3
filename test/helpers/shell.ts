import {type ChildProcess, spawn} from 'node:child_process';
import {until} from './until.ts';

/** A command in a shell, in a process group of its own, as a terminal starts it. */
export interface Job {
  readonly process: ChildProcess;
  /** Both streams so far. */
  output(): string;
  /** The exit code, or the signal's name, when nothing of it runs any more. */
  readonly ended: Promise<number | string>;
  /** Waits until its output holds the text. @throws Error with the output if it ends before. */
  says(text: string | RegExp): Promise<void>;
  /** As the key does it: SIGINT to all processes of the job, then waits. */
  ctrlC(): Promise<number | string>;
  [Symbol.asyncDispose](): Promise<void>;
}

export const startJob = (command: string, cwd: string, env: Readonly<Record<string, string>> = {}): Job => {
  const child = spawn('sh', ['-c', command], {
    cwd,
    env: {PATH: process.env['PATH'], HOME: process.env['HOME'], ...env},
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let printed = '';
  child.stdout.on('data', chunk => (printed += chunk));
  child.stderr.on('data', chunk => (printed += chunk));
  let running = true;
  // Not before its children have closed the pipes.
  const ended = new Promise<number | string>(resolve =>
    child.once('close', (code, signal) => {
      running = false;
      resolve(code ?? signal ?? 'unknown');
    }),
  );
  const signalAll = (signal: NodeJS.Signals) => {
    if (!running || child.pid === undefined) return;
    try {
      process.kill(-child.pid, signal);
    } catch {}
  };
  return {
    process: child,
    output: () => printed,
    ended,
    says: text =>
      until(() => {
        if (typeof text === 'string' ? printed.includes(text) : text.test(printed)) return true;
        if (!running) throw new Error(`"${command}" ended without saying ${text}:\n${printed}`);
        return false;
      }, `"${command}" says ${text}`),
    ctrlC: () => {
      signalAll('SIGINT');
      return ended;
    },
    async [Symbol.asyncDispose]() {
      signalAll('SIGTERM');
      const forced = setTimeout(() => signalAll('SIGKILL'), 15_000);
      await ended;
      clearTimeout(forced);
    },
  };
};
