import {open} from 'node:fs/promises';
import {concatMap, type Observable, type OperatorFunction, scan, throttleTime} from 'rxjs';
import type {Lsn} from '../pg/lsn.ts';

/**
 * Acknowledges positions upstream, at most every `everyMs`, each only after the replica's WAL is on disk: SQLite under
 * `synchronous=NORMAL` does not sync at commit, and what is acknowledged is never sent again (replication.md §3.4).
 */
export const acknowledge =
  (walFile: string, acknowledgeUpstream: (lsn: Lsn) => void, everyMs = 1000): OperatorFunction<Lsn, Lsn> =>
  (positions: Observable<Lsn>) =>
    positions.pipe(
      scan((highest, lsn) => (lsn > highest ? lsn : highest), 0n as Lsn),
      throttleTime(everyMs, undefined, {leading: true, trailing: true}),
      concatMap(async lsn => {
        await syncFile(walFile);
        acknowledgeUpstream(lsn);
        return lsn;
      }),
    );

const syncFile = async (file: string) => {
  const handle = await open(file, 'r+').catch(error => {
    if ((error as {code?: string}).code === 'ENOENT') return null; // Nothing written since the last checkpoint.
    throw error;
  });
  try {
    await handle?.datasync();
  } finally {
    await handle?.close();
  }
};
