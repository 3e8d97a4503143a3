import {type ChildProcess, execFileSync, spawn} from 'node:child_process';
import {chmodSync, chownSync, existsSync, mkdtempSync} from 'node:fs';
import {rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import pg from 'pg';
import {freePort, startPostgres} from '../../helpers/postgres-server.ts';
import {until} from '../../helpers/until.ts';
import {endOnInterrupt} from './interrupt.ts';

/** Debian's package; the embedded server stands in where it is not installed. */
const DEBIAN_BIN = '/usr/lib/postgresql/15/bin';

/** Durability as PostgreSQL ships it; only what replication needs, and memory for the data, is set. */
const SETTINGS = {
  wal_level: 'logical',
  max_replication_slots: '40',
  max_wal_senders: '40',
  max_connections: '300',
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '512MB',
  max_wal_size: '8GB',
  // Commits that do not wait for the disk reach the slot in this time.
  wal_writer_delay: '10ms',
  autovacuum: 'off',
} as const;

export interface BenchPostgres {
  readonly url: string;
  /** Of the server, as it reports it. */
  readonly version: string;
  urlOf(database: string): string;
  /** A new database, empty or a copy of `template`. */
  create(database: string, template?: string): Promise<string>;
  /** Drops the database and its slots. */
  drop(database: string): Promise<void>;
  stop(): Promise<void>;
}

/** The one PostgreSQL of a run. */
export const startBenchPostgres = async (): Promise<BenchPostgres> => {
  const server = existsSync(`${DEBIAN_BIN}/postgres`) ? await startDebian() : await startEmbedded();
  const ended = endOnInterrupt(() => server.stop());
  const admin = new pg.Client(server.url);
  admin.on('error', () => {});
  await admin.connect();
  const {rows} = await admin.query<{server_version: string}>('SHOW server_version');
  const urlOf = (database: string) => {
    const url = new URL(server.url);
    url.pathname = `/${database}`;
    return url.href;
  };
  return {
    url: server.url,
    version: rows[0]!.server_version,
    urlOf,
    create: async (database, template) => {
      await admin.query(
        `CREATE DATABASE "${database}"${template ? ` TEMPLATE "${template}" STRATEGY file_copy` : ''}`,
      );
      return urlOf(database);
    },
    drop: async database => {
      await until(async () => {
        const {rows: active} = await admin.query(
          'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active',
          [database],
        );
        return active.length === 0;
      }, `the slots of ${database} are free`);
      await admin.query(
        'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1',
        [database],
      );
      await admin.query(`DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`);
    },
    stop: async () => {
      ended();
      await admin.end();
      await server.stop();
    },
  };
};

interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

const startEmbedded = (): Promise<Server> =>
  startPostgres(
    Object.entries({...SETTINGS, fsync: 'on'}).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  );

const startDebian = async (): Promise<Server> => {
  const dir = mkdtempSync(join(tmpdir(), 'zerostream-bench-pg-'));
  const data = join(dir, 'data');
  // PostgreSQL refuses to run as root.
  const user = process.getuid?.() === 0 ? idOf('postgres') : null;
  if (user) chownSync(dir, user.uid, user.gid);
  chmodSync(dir, 0o755);
  execFileSync(
    `${DEBIAN_BIN}/initdb`,
    ['-D', data, '-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync'],
    {...(user ?? {}), cwd: dir, stdio: 'ignore'},
  );
  const port = await freePort();
  const settings = Object.entries({...SETTINGS, port: String(port)}).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ]);
  const child = spawn(`${DEBIAN_BIN}/postgres`, ['-D', data, ...settings], {
    ...user,
    cwd: dir,
    stdio: 'ignore',
  });
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  await until(() => answers(url), 'PostgreSQL answers');
  return {
    url,
    stop: async () => {
      await ended(child, 'SIGINT');
      await rm(dir, {recursive: true, force: true});
    },
  };
};

const idOf = (name: string): {uid: number; gid: number} => ({
  uid: Number(execFileSync('id', ['-u', name])),
  gid: Number(execFileSync('id', ['-g', name])),
});

const answers = async (url: string): Promise<boolean> => {
  const client = new pg.Client(url);
  client.on('error', () => {});
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
};

const ended = (child: ChildProcess, signal: NodeJS.Signals): Promise<void> =>
  new Promise(resolve => {
    if (child.exitCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill(signal);
  });
