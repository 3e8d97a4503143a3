import {type DaemonError, DiskFull, ReplicaUnusable, ReplicaUnwritable} from '../errors.ts';

/** What the replica's file may meet where pages are written beside SQLite; sockets have none of these. */
const FULL = ['ENOSPC', 'EDQUOT'];
const UNWRITABLE = ['EIO', 'EFBIG'];

/** What an error of SQLite or of a disk means for the replica; null if it is neither. */
export const replicaError = (error: unknown): DaemonError | null => {
  const {code = '', message} = error as {code?: string; message: string};
  const isFull = FULL.includes(code);
  if (!code.startsWith('SQLITE_') && !isFull && !UNWRITABLE.includes(code)) return null;
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB')
    return new ReplicaUnusable('The replica file is damaged.', {cause: error});
  // Without room SQLite cannot grow the file that it shares with readers either.
  if (isFull || code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_SHMSIZE')
    return new DiskFull('The replica cannot grow: the disk that holds it is full.', {cause: error});
  return new ReplicaUnwritable(`The replica cannot be written (${code}: ${message}).`, {cause: error});
};
