import {type DaemonError, DiskFull, ReplicaUnusable, ReplicaUnwritable} from '../errors.ts';

/** What an error of SQLite means for the replica; null if it is none of SQLite's. */
export const replicaError = (error: unknown): DaemonError | null => {
  const {code = '', message} = error as {code?: string; message: string};
  if (!code.startsWith('SQLITE_')) return null;
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB')
    return new ReplicaUnusable('The replica file is damaged.', {cause: error});
  // Without room SQLite cannot grow the file that it shares with readers either.
  if (code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_SHMSIZE')
    return new DiskFull('The replica cannot grow: the disk that holds it is full.', {cause: error});
  return new ReplicaUnwritable(`The replica cannot be written (${code}: ${message}).`, {cause: error});
};
