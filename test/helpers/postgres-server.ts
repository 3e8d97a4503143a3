import {chown, mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {runBound, spawnBound} from '../../src/demo/bound-process.ts';
import {postgresIdentity} from '../../src/demo/identity.ts';
import {runnablePrograms} from '../../src/demo/postgres-programs.ts';
import {answers} from './answers.ts';
import {until} from './until.ts';

export interface PostgresServer {
  /** `postgres://…/postgres`, a superuser. */
  readonly url: string;
  readonly dataDir: string;
  /** For tests that stop and start it. */
  readonly server: {
    start(): Promise<void>;
    stop(): Promise<void>;
    /** Without a word to anybody and without a checkpoint, as `pg_ctl stop -m immediate`. */
    crash(): Promise<void>;
  };
  /** Stops it and removes its data. */
  stop(): Promise<void>;
}

/** Below the ports that systems give to outgoing connections, one of which could take a free port before it is used. */
const PORTS = {from: 10_000, to: 32_000} as const;

/** A port on which nothing listens, nor on the `following` ones after it. */
export const freePort = async (following = 0): Promise<number> => {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from - following));
    const wanted = Array.from({length: following + 1}, (_, i) => port + i);
    if ((await Promise.all(wanted.map(isFree))).every(Boolean)) return port;
  }
};

const isFree = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    // All addresses: some of the servers under test listen on more than 127.0.0.1.
    probe.listen(port, () => probe.close(() => resolve(true)));
  });

/**
 * A real PostgreSQL with logical replication, on a free port of 127.0.0.1 and a data folder of its own. Started as
 * development mode does it: also as root, also from a private folder, and it ends with us.
 */
export const startPostgres = async (
  flags: readonly string[] = [],
  initdbFlags: readonly string[] = [],
): Promise<PostgresServer> => {
  const dir = await mkdtemp(join(tmpdir(), 'zerostream-pg-'));
  const dataDir = join(dir, 'data');
  const passwordFile = join(dir, 'password');
  const identity = postgresIdentity(dataDir);
  const programs = await runnablePrograms(identity);
  await mkdir(dataDir, {mode: 0o700});
  await writeFile(passwordFile, 'postgres');
  if (identity.uid !== undefined)
    for (const path of [dir, dataDir, passwordFile]) await chown(path, identity.uid, identity.gid!);
  await runBound(
    [
      ...[programs.initdb, `--pgdata=${dataDir}`, `--pwfile=${passwordFile}`, '--username=postgres'],
      ...['--auth=password', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync', ...initdbFlags],
    ],
    identity,
  );
  const port = await freePort();
  const url = `postgres://postgres:postgres@127.0.0.1:${port}/postgres`;
  const command = [
    ...[programs.postgres, '-D', dataDir, '-p', String(port), '-c', 'unix_socket_directories='],
    ...['-c', 'wal_level=logical', '-c', 'max_replication_slots=60', '-c', 'max_wal_senders=60'],
    ...['-c', 'max_connections=300', '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off'],
    ...flags,
  ];
  let stopRunning: (signal: NodeJS.Signals) => Promise<void> = async () => {};
  const server = {
    start: async () => {
      const child = spawnBound(command, {identity, output: 'pipe'});
      let printed = '';
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', chunk => (printed = (printed + chunk).slice(-4000)));
      let ended = false;
      const exited = new Promise<void>(resolve => {
        child.once('exit', () => {
          ended = true;
          resolve();
        });
      });
      stopRunning = async signal => {
        child.kill(signal);
        await exited;
      };
      await until(async () => {
        if (ended) throw new Error(`PostgreSQL did not start: ${printed}`);
        return answers(url);
      }, 'PostgreSQL answers');
    },
    stop: () => stopRunning('SIGINT'),
    crash: () => stopRunning('SIGQUIT'),
  };
  await server.start();
  return {
    url,
    dataDir,
    server,
    stop: async () => {
      await server.stop();
      await rm(dir, {recursive: true, force: true});
    },
  };
};
