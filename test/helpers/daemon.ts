import {type ChildProcess, spawn} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {DaemonInspection} from '../../src/observe/inspection.ts';
import {freePort} from './postgres-server.ts';

export interface Daemon {
  readonly port: number;
  /** `http://127.0.0.1:<port>`: what an app gives to the client as its server. */
  readonly url: string;
  readonly process: ChildProcess;
  readonly replicaFile: string;
  /** Everything printed so far, both streams. */
  output(): string;
  /** Resolves with the exit code, or the signal's name. */
  readonly exited: Promise<number | string>;
  /** SIGTERM, then waits. */
  stop(): Promise<number | string>;
  /** SIGKILL of the parent only, as a crash would do it; children must notice by themselves. */
  kill(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface DaemonOptions {
  readonly upstream: string;
  readonly appID: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Keeps its files here across restarts; a temporary folder of its own otherwise. */
  readonly dir?: string;
  readonly port?: number;
  /** The server to run: ours by default; the bench and the harness's own check run the stock one. */
  readonly command?: readonly [string, ...string[]];
  /** false: return at once, for daemons that are meant to fail. */
  readonly waitUntilReady?: boolean;
}

/** The change-streamer listens on the next port by default. */
const FOLLOWING = 1;

const OURS: readonly [string, ...string[]] = [process.execPath, 'dist/zerostream.js'];

/** A real daemon in processes of its own, from the bundle in `dist`. */
export const startDaemon = async (options: DaemonOptions): Promise<Daemon> => {
  const ownDir = options.dir === undefined;
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'zerostream-daemon-')));
  const port = options.port ?? (await freePort(FOLLOWING));
  const replicaFile = join(dir, 'replica.db');
  const [command, ...first] = options.command ?? OURS;
  const child = spawn(command, [...first, ...(options.args ?? [])], {
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      NODE_ENV: 'development',
      ZERO_UPSTREAM_DB: options.upstream,
      ZERO_APP_ID: options.appID,
      ZERO_PORT: String(port),
      ZERO_REPLICA_FILE: replicaFile,
      ZERO_NUM_SYNC_WORKERS: '1',
      ZERO_ENABLE_TELEMETRY: 'false',
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  child.stdout.on('data', chunk => (printed += chunk));
  child.stderr.on('data', chunk => (printed += chunk));
  const exited = new Promise<number | string>(resolve =>
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown')),
  );
  let running = true;
  void exited.then(() => (running = false));
  const daemon: Daemon = {
    port,
    url: `http://127.0.0.1:${port}`,
    process: child,
    replicaFile,
    output: () => printed,
    exited,
    stop: () => {
      if (running) child.kill('SIGTERM');
      return exited;
    },
    kill: async () => {
      if (running) child.kill('SIGKILL');
      await exited;
    },
    async [Symbol.asyncDispose]() {
      if (running) {
        child.kill('SIGTERM');
        const forced = setTimeout(() => child.kill('SIGKILL'), 15_000);
        await exited;
        clearTimeout(forced);
      }
      if (ownDir) await rm(dir, {recursive: true, force: true});
    },
  };
  if (options.waitUntilReady !== false) await waitUntilReady(daemon, () => running);
  return daemon;
};

/** What its inspector shows now. */
export const inspectionOf = async (daemon: Daemon): Promise<DaemonInspection> =>
  (await (await fetch(`${daemon.url}/pipelines`)).json()) as DaemonInspection;

const waitUntilReady = async (daemon: Daemon, running: () => boolean) => {
  const deadline = Date.now() + 60_000;
  while (running()) {
    const ok = await fetch(`${daemon.url}/keepalive`).then(
      response => response.ok,
      () => false,
    );
    if (ok) return;
    if (Date.now() > deadline) throw new Error(`daemon not ready in 60 s:\n${daemon.output()}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  throw new Error(`daemon ended (${await daemon.exited}) before it was ready:\n${daemon.output()}`);
};
