import {type ChildProcess, spawn} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {freePort} from './postgres-server.ts';

export interface DevMode {
  readonly port: number;
  readonly url: string;
  readonly process: ChildProcess;
  /** Both streams so far. */
  output(): string;
  /** The line for psql that it printed. */
  connectionString(): string;
  readonly exited: Promise<number | string>;
  /** Sends the signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<number | string>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface DevModeOptions {
  /** The working directory, in which `.zero/` is. */
  readonly cwd: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Chosen by the caller; a free one otherwise. */
  readonly port?: number;
  /** false: return at once. */
  readonly waitUntilReady?: boolean;
}

/** `zerostream dev` as people start it: from the bundle, in a folder, without any configuration but its port. */
export const startDevMode = async (options: DevModeOptions): Promise<DevMode> => {
  const port = options.port ?? (await freePort());
  const child = spawn(
    process.execPath,
    [resolve('dist/zerostream.js'), 'dev', '--port', String(port), ...(options.args ?? [])],
    {
      cwd: options.cwd,
      env: {PATH: process.env['PATH'], HOME: process.env['HOME'], ...options.env},
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let printed = '';
  child.stdout.on('data', chunk => (printed += chunk));
  child.stderr.on('data', chunk => (printed += chunk));
  let running = true;
  const exited = new Promise<number | string>(done =>
    child.once('close', (code, signal) => {
      running = false;
      done(code ?? signal ?? 'unknown');
    }),
  );
  const stop = (signal: NodeJS.Signals = 'SIGTERM') => {
    if (running) child.kill(signal);
    return exited;
  };
  const dev: DevMode = {
    port,
    url: `http://localhost:${port}/`,
    process: child,
    output: () => printed,
    connectionString: () => /postgres:\/\/demo:\S+/.exec(printed)?.[0] ?? '',
    exited,
    stop,
    async [Symbol.asyncDispose]() {
      const forced = setTimeout(() => child.kill('SIGKILL'), 20_000);
      await stop();
      clearTimeout(forced);
    },
  };
  if (options.waitUntilReady !== false) await waitUntilReady(dev, () => running);
  return dev;
};

const waitUntilReady = async (dev: DevMode, running: () => boolean) => {
  const deadline = Date.now() + 90_000;
  while (!dev.output().includes('Ctrl-C')) {
    if (!running()) throw new Error(`development mode ended (${await dev.exited}):\n${dev.output()}`);
    if (Date.now() > deadline) throw new Error(`development mode is not ready:\n${dev.output()}`);
    await new Promise(done => setTimeout(done, 30));
  }
};

/** A folder for one test, removed at its end. */
export const temporaryFolder = async (): Promise<{readonly path: string} & AsyncDisposable> => {
  const path = await mkdtemp(join(tmpdir(), 'zerostream-dev-'));
  return {path, [Symbol.asyncDispose]: () => rm(path, {recursive: true, force: true})};
};
