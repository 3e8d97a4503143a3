import {rmSync} from 'node:fs';
import type {Options} from 'better-sqlite3';
import {ReplicaUnusable, ReplicaUnwritable} from '../errors.ts';
import {BUSY_TIMEOUT_MS} from './checkpoint.ts';
import Database from './sqlite.ts';

/**
 * The only writer of a replica. WAL with our own checkpoints; `synchronous=NORMAL`: a lost tail only moves the watermark
 * back, and what follows it is streamed again (replication.md §5.4).
 */
export const openWriter = (file: string): Database => {
  const db = open(file, {});
  db.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = NORMAL');
  db.pragma('wal_autocheckpoint = 0');
  db.pragma('analysis_limit = 1000');
  db.pragma('cache_size = -16000');
  return db;
};

/**
 * A new file to be filled at once: no journal and no syncing, as it is thrown away unless it becomes complete. Ends with
 * `finishBulk`.
 */
export const openBulkWriter = (file: string): Database => {
  const db = open(file, {});
  db.pragma('journal_mode = MEMORY');
  db.pragma('synchronous = OFF');
  db.pragma('locking_mode = EXCLUSIVE');
  db.pragma('analysis_limit = 1000');
  // An index is sorted in runs as large as the cache: runs that fit the processor's own are sorted faster, by a second
  // thread while this one reads on.
  db.pragma('cache_size = -2000');
  db.pragma('threads = 1');
  return db;
};

/** Brings a bulk-written file into the form that `openWriter` expects, and closes it. It is not synced yet. */
export const finishBulk = (db: Database): void => {
  db.pragma('locking_mode = NORMAL');
  db.pragma('journal_mode = WAL');
  db.close();
};

/** A read-only connection; safe integers off, values beyond ±2^53 must be asked for as text. */
export const openReader = (file: string): Database => {
  const db = open(file, {readonly: true, fileMustExist: true});
  db.pragma('busy_timeout = 30000');
  db.pragma('cache_size = -16000');
  return db;
};

const open = (file: string, options: Options): Database => {
  try {
    const db = new Database(file, options);
    db.pragma('schema_version');
    return db;
  } catch (error) {
    const code = (error as {code?: string}).code ?? '';
    if (code === 'SQLITE_NOTADB' || code.startsWith('SQLITE_CORRUPT'))
      throw new ReplicaUnusable(`The replica file ${file} is not a readable SQLite database.`, {
        cause: error,
      });
    throw new ReplicaUnwritable(
      `Cannot open the replica file ${file} (${(error as Error).message}). Name another path, or grant access to it.`,
      {cause: error},
    );
  }
};

/** Removes the file with everything SQLite keeps beside it. */
export const deleteReplica = (file: string): void => {
  for (const suffix of ['', '-wal', '-wal2', '-shm', '-journal']) rmSync(file + suffix, {force: true});
};
