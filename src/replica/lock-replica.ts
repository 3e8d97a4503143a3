import {setTimeout as pause} from 'node:timers/promises';
import {ReplicaInUse, ReplicaUnwritable} from '../errors.ts';
import {type FileLock, lockFile} from './file-lock.ts';

/** A server that was killed takes a moment to end with all its processes. */
const PATIENCE_MS = 5000;

/**
 * One server per replica file, for as long as it runs: another one, of another app perhaps, would rebuild the file under its
 * readers. @throws ReplicaInUse; ReplicaUnwritable if nothing can be written there.
 */
export const lockReplica = async (file: string): Promise<FileLock> => {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const lock = tryLock(file);
    if (lock) return lock;
    if (Date.now() > deadline)
      throw new ReplicaInUse(
        `Another server that runs keeps its replica in ${file}. Stop it, or give this one a file of its own with ZERO_REPLICA_FILE.`,
      );
    await pause(100);
  }
};

const tryLock = (file: string): FileLock | null => {
  try {
    return lockFile(`${file}-lock`);
  } catch (cause) {
    throw new ReplicaUnwritable(
      `The folder of the replica ${file} cannot be written (${(cause as Error).message}). Grant access, or name another file with ZERO_REPLICA_FILE.`,
      {cause},
    );
  }
};
