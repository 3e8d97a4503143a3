import {execFileSync, spawnSync} from 'node:child_process';
import {type Stats, statSync} from 'node:fs';

/** As whom PostgreSQL runs; empty: as ourselves. */
export type Identity = {readonly uid?: number; readonly gid?: number};

/** Where root keeps what PostgreSQL, running as somebody else, cannot reach in the working directory. */
export const SHARED_BY_ROOT = '/var/lib/zerostream';

/**
 * PostgreSQL refuses to run as root. Then it runs as the owner of the data it already has, else as the system's
 * `postgres`, else as `nobody`, which every system has: no user is created.
 */
export const postgresIdentity = (dataFolder: string): Identity => {
  if (process.getuid?.() !== 0) return {};
  const owner = statOrNull(dataFolder);
  if (owner && owner.uid !== 0) return {uid: owner.uid, gid: owner.gid};
  return userNamed('postgres') ?? userNamed('nobody') ?? {uid: 65_534, gid: 65_534};
};

/** Whether `identity` may use the path, tried out rather than computed: folders above it count, and lists of access. */
export const reaches = (identity: Identity, path: string, use: 'execute' | 'write'): boolean => {
  if (identity.uid === undefined) return true;
  const test = spawnSync('/bin/sh', ['-c', `test -${use === 'execute' ? 'x' : 'w'} "$1"`, 'sh', path], {
    ...identity,
    cwd: '/',
    stdio: 'ignore',
  });
  return test.status === 0;
};

const userNamed = (name: string): Identity | null => {
  const id = (flag: string) =>
    Number(execFileSync('id', [flag, name], {encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore']}));
  try {
    return {uid: id('-u'), gid: id('-g')};
  } catch {
    return null;
  }
};

const statOrNull = (path: string): Stats | null => {
  try {
    return statSync(path);
  } catch {
    return null;
  }
};
