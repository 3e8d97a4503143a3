import {statSync} from 'node:fs';
import type {Database} from 'better-sqlite3';
import {type MonoTypeOperatorFunction, tap} from 'rxjs';

interface CheckpointResult {
  readonly busy: number;
  /** Frames in the WAL, and of them those that are in the database file. */
  readonly log: number;
  readonly checkpointed: number;
}

export interface CheckpointOptions {
  /** Bytes applied between two checkpoints. */
  readonly everyBytes: number;
  /** Everything is in the database file: readers may take a new snapshot, so that the WAL starts again from its beginning. */
  readonly onComplete: () => void;
  /** The WAL has grown beyond this although it was checkpointed: readers hold it. */
  readonly largeBytes: number;
  readonly onLarge: (walBytes: number) => void;
}

/** The part of `largeBytes` by which the WAL may grow between two checkpoints: some bytes changed cost it a page. */
const GROWTH = 1 / 4;

/**
 * Moves the WAL into the database file between transactions whenever about `everyBytes` have been applied, or the WAL has
 * grown much. Never waits for readers, which only let the part go that is older than their snapshots.
 */
export const checkpoint = <T extends {readonly bytes: number}>(
  db: Database,
  {everyBytes, onComplete, largeBytes, onLarge}: CheckpointOptions,
): MonoTypeOperatorFunction<T> => {
  const frameBytes = Number(db.pragma('page_size', {simple: true})) + 24;
  const walBytes = () => statSync(`${db.name}-wal`, {throwIfNoEntry: false})?.size ?? 0;
  let bytes = 0;
  /** Size of the WAL's file at the last checkpoint; it only shrinks when it is truncated. */
  let checkedBytes = 0;
  return tap(item => {
    bytes += item.bytes;
    if (db.inTransaction) return;
    const size = walBytes();
    if (size < checkedBytes) checkedBytes = size;
    if (bytes < everyBytes && size - checkedBytes < largeBytes * GROWTH) return;
    bytes = 0;
    checkedBytes = size;
    // Counts anew the tables that grew or shrank much since they were last counted, as a rule none (0.1 ms): what
    // queries are planned by must not stay as the initial sync, perhaps of an empty database, left it.
    db.pragma('optimize(0x10002)');
    const {log, checkpointed} = run(db, 'PASSIVE');
    if (log === checkpointed) onComplete();
    if (log * frameBytes > largeBytes) onLarge(log * frameBytes);
  });
};

const RETRY_MS = 20;

/**
 * The handshake that keeps the WAL bounded under a steady load: while nothing is written, readers step to the head
 * (`reopen` asks them), and then the WAL is emptied. The caller pauses the source meanwhile.
 * @returns false if some reader held on for `timeoutMs`, or a transaction turned out to be open.
 */
export const truncateWal = async (db: Database, reopen: () => void, timeoutMs: number): Promise<boolean> => {
  const deadline = performance.now() + timeoutMs;
  while (db.open && !db.inTransaction) {
    const {log, checkpointed} = run(db, 'PASSIVE');
    if (log === checkpointed && run(db, 'TRUNCATE').busy === 0) return true;
    reopen();
    if (performance.now() > deadline) return false;
    await new Promise(resolve => setTimeout(resolve, RETRY_MS));
  }
  return false;
};

const run = (db: Database, mode: 'PASSIVE' | 'TRUNCATE'): CheckpointResult => {
  // Waiting inside SQLite would stop the whole process.
  if (mode === 'TRUNCATE') db.pragma('busy_timeout = 0');
  try {
    const [result] = db.pragma(`wal_checkpoint(${mode})`) as CheckpointResult[];
    return result ?? {busy: 1, log: 0, checkpointed: 0};
  } finally {
    if (mode === 'TRUNCATE') db.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
  }
};

/** Nobody else writes a replica; only a tool in somebody's hand may hold its lock for a moment. */
export const BUSY_TIMEOUT_MS = 30_000;
