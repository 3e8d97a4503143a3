import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {type Daemon, startDaemon} from '../../helpers/daemon.ts';
import {pathWith, peerCommand} from '../../helpers/peer.ts';
import {deployPermissions} from '../data/load.ts';
import {endOnInterrupt} from './interrupt.ts';
import {pidsOf, treeCpuMs, treePssBytes} from './process-tree.ts';

export type Kind = 'ours' | 'peer';

export interface ServerOptions {
  readonly kind: Kind;
  readonly upstream: string;
  readonly appID: string;
  readonly env?: Readonly<Record<string, string>>;
  /** How long the first answer of `/keepalive` may take. */
  readonly readyTimeoutMs?: number;
  /** Called as soon as the process exists, with a sampler of its tree's memory. */
  readonly onLaunch?: (memoryBytes: () => number) => void;
}

/** A server's process tree under measurement, ours or the peer's; its replica and port outlive a restart. */
export class BenchServer {
  readonly kind: Kind;
  readonly url: string;
  readonly #options: ServerOptions;
  readonly #dir: string;
  readonly #ended: () => void;
  #daemon: Daemon;

  private constructor(options: ServerOptions, dir: string, daemon: Daemon) {
    this.kind = options.kind;
    this.#options = options;
    this.#dir = dir;
    this.#daemon = daemon;
    this.url = daemon.url;
    this.#ended = endOnInterrupt(() => this.stop());
  }

  /** Resolves when `/keepalive` answers 200 and permissions are deployed. */
  static async start(options: ServerOptions): Promise<BenchServer> {
    const dir = await mkdtemp(join(tmpdir(), 'zerostream-bench-'));
    const daemon = await launch(options, dir);
    const server = new BenchServer(options, dir, daemon);
    options.onLaunch?.(() => server.memoryBytes());
    try {
      await ready(daemon, options.readyTimeoutMs);
      await deployPermissions(options.upstream, options.appID);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get pid(): number {
    return this.#daemon.process.pid!;
  }

  cpuMs(): number {
    return treeCpuMs(this.pid);
  }

  memoryBytes(): number {
    return treePssBytes(this.pid);
  }

  /** Processes of the tree whose command line holds `text`. */
  pids(text: string): number[] {
    return pidsOf(this.pid, text);
  }

  /** With `--profile`: profiles tell of what follows. */
  profileFromHere(): void {
    if (this.#options.env?.['ZS_BENCH_PROFILES'])
      for (const pid of this.pids('node')) process.kill(pid, 'SIGUSR2');
  }

  output(): string {
    return this.#daemon.output();
  }

  /** SIGTERM, then starts again on the same files; resolves when ready, with the ms from start to ready. */
  async restart(): Promise<number> {
    await this.#daemon.stop();
    const startedAt = performance.now();
    this.#daemon = await launch(this.#options, this.#dir, this.#daemon.port);
    await ready(this.#daemon, this.#options.readyTimeoutMs);
    return performance.now() - startedAt;
  }

  async stop(): Promise<void> {
    this.#ended();
    await this.#daemon[Symbol.asyncDispose]();
    await rm(this.#dir, {recursive: true, force: true});
  }
}

const launch = ({kind, upstream, appID, env}: ServerOptions, dir: string, port?: number): Promise<Daemon> => {
  const command = kind === 'peer' ? peerCommand() : null;
  return startDaemon({
    upstream,
    appID,
    dir,
    ...(port ? {port} : {}),
    ...(command ? {command} : {}),
    waitUntilReady: false,
    env: {
      NODE_ENV: 'production',
      ZERO_ADMIN_PASSWORD: 'bench',
      ZERO_LOG_LEVEL: 'error',
      ...(command ? {PATH: pathWith(command[0])} : {}),
      ...env,
    },
  });
};

/** Polls more finely than the tests do: a start is measured by it. */
const ready = async (daemon: Daemon, timeoutMs = 300_000): Promise<void> => {
  let ended = false;
  void daemon.exited.then(() => (ended = true));
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answered = await fetch(`${daemon.url}/keepalive`).then(
      response => response.ok,
      () => false,
    );
    if (answered) return;
    if (ended) throw new Error(`the server ended (${await daemon.exited}):\n${daemon.output()}`);
    if (Date.now() > deadline) throw new Error(`the server is not ready:\n${daemon.output()}`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
};
