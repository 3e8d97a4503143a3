import {join} from 'node:path';
import {DevelopmentImpossible} from '../errors.ts';
import {type FileLock, lockFile} from '../replica/file-lock.ts';

/** One server per `.zero/`. @throws DevelopmentImpossible */
export const lockFolder = (path: string): FileLock => {
  const file = join(path, 'lock.db');
  let lock: FileLock | null;
  try {
    lock = lockFile(file);
  } catch (cause) {
    throw new DevelopmentImpossible(
      `The folder ${path} cannot be locked (${(cause as Error).message}). Remove ${file} and start again.`,
      {cause},
    );
  }
  if (lock) return lock;
  throw new DevelopmentImpossible(
    `Another zerostream already runs in this folder, on ${path}. Use that one, stop it first, or start in another folder.`,
  );
};
