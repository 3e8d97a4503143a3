import {createHash} from 'node:crypto';
import {existsSync} from 'node:fs';
import {chown, mkdir, readdir, readlink, rename, rm, symlink, writeFile} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import {DevelopmentImpossible} from '../errors.ts';
import {type Identity, postgresIdentity, reaches, SHARED_BY_ROOT} from './identity.ts';

/**
 * The `.zero/` folder of development mode.
 *
 *     lock.db       held while a server runs here
 *     pg/           PostgreSQL's data; as root in a folder that others cannot enter, a link to where it is
 *     postgres.log  what PostgreSQL says
 *     replica.db    the SQLite replica, with what belongs to it beside it
 */
export interface DevFolder {
  /** Absolute. */
  readonly path: string;
  /** Absolute, without links: PostgreSQL's data, which may not exist yet. */
  readonly data: string;
  readonly log: string;
  readonly replica: string;
  readonly identity: Identity;
}

/** Makes the folder if there is none, and finds its places. @throws DevelopmentImpossible */
export const openDevFolder = async (cwd: string): Promise<DevFolder> => {
  const path = resolve(cwd, '.zero');
  const link = join(path, 'pg');
  try {
    await mkdir(path, {recursive: true});
    // Nothing in it belongs under version control.
    await writeFile(join(path, '.gitignore'), '*\n');
  } catch (cause) {
    throw new DevelopmentImpossible(
      `The folder ${path} cannot be written (${(cause as NodeJS.ErrnoException).code}). Start in a folder of your own, or remove .zero there if another user made it.`,
      {cause},
    );
  }
  const places = {path, log: join(path, 'postgres.log'), replica: join(path, 'replica.db')};
  const linked = await readlink(link).catch(() => null);
  if (linked !== null) return {...places, data: linked, identity: postgresIdentity(linked)};
  const identity = postgresIdentity(link);
  if (existsSync(link) || (await canLiveIn(path, identity))) return {...places, data: link, identity};
  const home = join(SHARED_BY_ROOT, createHash('sha256').update(path).digest('hex').slice(0, 16));
  const data = join(home, 'pg');
  // Without the link, data found there is of a `.zero/` that is gone.
  await rm(home, {recursive: true, force: true});
  await mkdir(home, {recursive: true, mode: 0o755});
  await symlink(data, link);
  return {...places, data, identity};
};

/** Removes data and replica; the folder itself stays, with the lock in it. */
export const emptyDevFolder = async (folder: DevFolder): Promise<void> => {
  await removeReplica(folder);
  await removeUnfinished(folder);
  for (const path of [folder.log, folder.data, `${folder.data}.broken`])
    await rm(path, {recursive: true, force: true});
};

/** Removes what runs that were cut off while making data left behind. */
export const removeUnfinished = async ({data}: DevFolder): Promise<void> => {
  for (const name of await readdir(dirname(data)))
    if (/^pg\.(new|password|probe)/.test(name))
      // One that is just ending may still write there; the next start removes the rest.
      await rm(join(dirname(data), name), {recursive: true, force: true, maxRetries: 5}).catch(() => {});
};

/** The replica of a database that is gone is of no use to the next one. */
export const removeReplica = async ({path}: DevFolder): Promise<void> => {
  for (const name of await readdir(path))
    if (name.startsWith('replica.db')) await rm(join(path, name), {recursive: true, force: true});
};

/** Data that cannot be used is kept beside the new one, once. @returns its new place. */
export const setAside = async (folder: DevFolder): Promise<string> => {
  const aside = `${folder.data}.broken`;
  await rm(aside, {recursive: true, force: true});
  await rename(folder.data, aside);
  return aside;
};

const canLiveIn = async (path: string, identity: Identity): Promise<boolean> => {
  if (identity.uid === undefined) return true;
  const probe = join(path, `pg.probe-${process.pid}`);
  await mkdir(probe, {mode: 0o700});
  try {
    await chown(probe, identity.uid, identity.gid!);
    return reaches(identity, probe, 'write');
  } finally {
    await rm(probe, {recursive: true, force: true});
  }
};
