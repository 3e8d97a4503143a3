import {existsSync} from 'node:fs';
import {basename, join} from 'node:path';
import {DevelopmentImpossible} from '../errors.ts';
import {type Cluster, clusterProblem, initCluster, readCluster, writeCluster} from './cluster.ts';
import {type DevFolder, removeReplica, setAside} from './dev-folder.ts';
import {isFree, nextFreePort} from './free-port.ts';
import {SHARED_BY_ROOT} from './identity.ts';
import {type PostgresPrograms, runnablePrograms} from './postgres-programs.ts';
import {type PostgresServer, startPostgres} from './postgres-server.ts';
import type {Say} from './say.ts';

/** Where PostgreSQL listens unless told otherwise or in use: far from 5432, where people have one of their own. */
const FIRST_PORT = 5848;
const PORTS = 30;

export interface PreparedPostgres {
  readonly server: PostgresServer;
  readonly password: string;
}

/**
 * A running PostgreSQL on the folder's data, made anew if there is none or what is there cannot be used. Call with the
 * lock held and no stale server running. @throws DevelopmentImpossible
 */
export const preparePostgres = async (
  folder: DevFolder,
  say: Say,
  wantedPort: number | undefined,
): Promise<PreparedPostgres> => {
  const programs = await runnablePrograms(folder.identity, copy =>
    say.step(
      'copying PostgreSQL',
      copy,
      () => `PostgreSQL copied to ${SHARED_BY_ROOT}: it does not run as root, and nobody else may enter here`,
    ),
  );
  if (existsSync(folder.data)) {
    const problem = clusterProblem(folder.data, programs);
    if (problem) {
      const aside = await setAside(folder);
      say.line(`! The data in ${shortPath(folder.data)} cannot be used: ${problem}.`);
      say.line(`  It is kept as ${aside}, and new data is made.`);
    }
  }
  let cluster = existsSync(folder.data) ? readCluster(folder.data) : null;
  if (!cluster) {
    await removeReplica(folder);
    cluster = await say.step(
      'making a PostgreSQL of your own',
      () => initCluster(folder, programs),
      () =>
        `PostgreSQL ${programs.major} made in ${shortPath(folder.data)}: nothing is installed, and removing it leaves nothing`,
    );
  }
  const {password} = cluster;
  const server = await say.step(
    'starting PostgreSQL',
    () => startSomewhere(folder, programs, cluster, wantedPort),
    ({port}) =>
      `PostgreSQL listens on 127.0.0.1:${port}, with wal_level=logical, so that its changes can be followed`,
  );
  const {port} = server;
  if (cluster.port !== null && cluster.port !== port && wantedPort === undefined)
    say.line(`! Port ${cluster.port}, where it was before, is in use by another program.`);
  if (cluster.port !== port) await writeCluster(folder.data, {password, port});
  return {server, password};
};

/** At the port that was asked for, or at the first one that can be had. */
const startSomewhere = async (
  folder: DevFolder,
  programs: PostgresPrograms,
  {port: before, password}: Cluster,
  wanted: number | undefined,
): Promise<PostgresServer> => {
  let port: number | null = wanted ?? before ?? FIRST_PORT;
  const first = port;
  while (port !== null) {
    const server = (await isFree(port)) ? await startPostgres(folder, programs, {port, password}) : null;
    if (server) return server;
    if (wanted !== undefined)
      throw new DevelopmentImpossible(
        `Port ${wanted} is in use by another program, so PostgreSQL cannot listen there. Choose another with --postgres-port, or leave it out and a free one is found.`,
      );
    port = await nextFreePort(port + 1, first + PORTS);
  }
  throw new DevelopmentImpossible(
    `The ports from ${first} to ${first + PORTS - 1} are all in use. Choose one for PostgreSQL with --postgres-port.`,
  );
};

const shortPath = (data: string): string => (basename(join(data, '..')) === '.zero' ? '.zero/pg' : data);
