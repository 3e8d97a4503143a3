import Database from './sqlite.ts';

export interface FileLock {
  release(): void;
}

/**
 * A lock of SQLite on a file of its own: the system lets go of it when the process ends, however it ends, so nothing stale is
 * left to judge. null: another process holds it. @throws SqliteError if the file cannot be made.
 */
export const lockFile = (path: string): FileLock | null => {
  const database = new Database(path, {timeout: 0});
  try {
    database.pragma('locking_mode = EXCLUSIVE');
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as {code?: string}).code?.startsWith('SQLITE_BUSY')) return null;
    throw error;
  }
  return {release: () => void database.close()};
};
