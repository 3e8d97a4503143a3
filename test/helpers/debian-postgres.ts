import {execFileSync, type SpawnOptions, spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {chmod, chown, mkdir, mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {answers} from './answers.ts';
import {freePort} from './postgres-server.ts';
import {until} from './until.ts';

const binaries = (major: number) => `/usr/lib/postgresql/${major}/bin`;

/** True if Debian's package of that major version is installed. */
export const hasDebianPostgres = (major: number): boolean => existsSync(join(binaries(major), 'postgres'));

/** A server from Debian's packages with logical replication, on a free port of 127.0.0.1 and in a folder of its own. */
export const startDebianPostgres = async (
  major: number,
  flags: readonly string[] = [],
): Promise<{readonly url: string; stop(): Promise<void>}> => {
  const dir = await mkdtemp(join(tmpdir(), `zerostream-pg${major}-`));
  const data = join(dir, 'data');
  await mkdir(data);
  const user = await serverUser(dir, data);
  execFileSync(
    join(binaries(major), 'initdb'),
    ['-D', data, '-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync'],
    {...user, stdio: 'ignore', cwd: dir},
  );
  const port = await freePort();
  const server = spawn(
    join(binaries(major), 'postgres'),
    [
      ...['-D', data, '-p', String(port), '-k', dir, '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off'],
      ...['-c', 'wal_level=logical', '-c', 'max_replication_slots=20', '-c', 'max_wal_senders=20', ...flags],
    ],
    {...user, stdio: 'ignore', cwd: dir} satisfies SpawnOptions,
  );
  const exited = new Promise<void>(resolve => server.once('exit', () => resolve()));
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  await until(() => answers(url), `PostgreSQL ${major} answers`);
  return {
    url,
    stop: async () => {
      server.kill('SIGQUIT');
      await exited;
      await rm(dir, {recursive: true, force: true});
    },
  };
};

/** PostgreSQL refuses to run as root: there it runs as the packages' own user. */
const serverUser = async (...owned: string[]): Promise<{uid?: number; gid?: number}> => {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], {encoding: 'utf8'}));
  const [uid, gid] = [id('-u'), id('-g')];
  for (const path of owned) {
    await chown(path, uid, gid);
    await chmod(path, 0o700);
  }
  return {uid, gid};
};
