import {join} from 'node:path';
import Database from 'better-sqlite3';
import {DevelopmentImpossible} from '../errors.ts';

export interface FolderLock {
  release(): void;
}

/**
 * One server per `.zero/`. A lock of SQLite on a file there: the system lets go of it when the process ends, however it
 * ends, so nothing stale is left to judge. @throws DevelopmentImpossible
 */
export const lockFolder = (path: string): FolderLock => {
  let database: Database.Database | null = null;
  try {
    database = new Database(join(path, 'lock.db'), {timeout: 0});
    database.pragma('locking_mode = EXCLUSIVE');
    database.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    database?.close();
    if ((cause as {code?: string}).code?.startsWith('SQLITE_BUSY'))
      throw new DevelopmentImpossible(
        `Another zerostream already runs in this folder, on ${path}. Use that one, stop it first, or start in another folder.`,
        {cause},
      );
    throw new DevelopmentImpossible(
      `The folder ${path} cannot be locked (${(cause as Error).message}). Remove ${join(path, 'lock.db')} and start again.`,
      {cause},
    );
  }
  const held = database;
  return {release: () => void held.close()};
};
