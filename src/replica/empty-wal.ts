import type {Database} from 'better-sqlite3';
import type {Brake} from '../flow/brake.ts';
import {truncateWal} from './checkpoint.ts';
import {replicaError} from './classify-error.ts';

/** How long the source waits for readers to let go of a large WAL; then it goes on, and they are asked again later. */
const READERS_MS = 2000;

/** What to do when the replica's WAL is large because readers hold it: the source waits while they let go (D-037). */
export const emptyWhenLarge = ({
  db,
  brake,
  reopen,
  isCopying,
  onError,
}: {
  readonly db: Database;
  readonly brake: Brake;
  /** Asks readers to step to the head. */
  readonly reopen: () => void;
  /** True while the replica is copied for other nodes: waiting for its WAL would be in vain. */
  readonly isCopying?: (() => boolean) | undefined;
  readonly onError: (error: unknown) => void;
}): (() => void) => {
  let emptying = false;
  const empty = async () => {
    emptying = true;
    brake.hold('wal');
    try {
      await truncateWal(db, reopen, READERS_MS);
    } catch (error) {
      onError(replicaError(error) ?? error);
    } finally {
      brake.release('wal');
      emptying = false;
    }
  };
  return () => {
    if (!emptying && !isCopying?.()) void empty();
  };
};
