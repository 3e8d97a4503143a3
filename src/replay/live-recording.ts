import type {Socket} from 'node:net';
import {setTimeout} from 'node:timers/promises';
import type {Database} from 'better-sqlite3';
import {VERSION_ZERO, versionOfLsn} from '../pg/lsn.ts';
import {openReader} from '../replica/open.ts';
import {readReplicaState} from '../replica/sync-context.ts';
import {copyReplica} from './copy-replica.ts';
import {FIXTURE_FORMAT} from './fixture.ts';
import type {FrameTap} from './frame-tap.ts';
import {RecorderSocket, TOO_SLOW} from './recorder-socket.ts';
import {beginOf, frameLine} from './recording.ts';

/** Longest that the snapshot waits for a reader that takes nothing, since it keeps the replica's WAL from restarting. */
const STALLED_MS = 60_000;
const CHUNK_BYTES = 64 * 1024;
/** Longest turn of the snapshot between two turns of replication. */
const SLICE_MS = 5;

/**
 * Sends a recording of the running chain down an upgraded socket, as lines: `{"recording": …}` once; then `{"lsn",
 * "frame"}` for each frame from a boundary between two transactions on, and in between those of the replica as it is
 * (see `copyReplica`) and of what reaches it beside the stream (see `asideLine`). The former end with `{"snapshot": "complete"}`. Ends with `{"end": reason}`. The snapshot may hold
 * transactions of the first frames already: they are skipped in a replay as in the server.
 */
export const recordLive = (socket: Socket, tap: FrameTap, replicaFile: string, workers: number): void => {
  const recorder = new RecorderSocket(socket);
  let pinnedAlready = false;
  /** Sent within the first transaction, which is where descriptions come. */
  let described: readonly Buffer[] = [];
  recorder.onEnd = tap.listen({
    start: (relations, lastCommit) => {
      described = relations;
      const atLeast = lastCommit === null ? VERSION_ZERO : versionOfLsn(lastCommit);
      const onPinned = () => {
        pinnedAlready = true;
      };
      void sendSnapshot(recorder, replicaFile, {atLeast, workers, onPinned}).catch((error: Error) =>
        recorder.end(
          error.name === 'AbortError' ? TOO_SLOW : `the replica cannot be read (${error.message})`,
        ),
      );
    },
    frames: frames => {
      for (const frame of frames) {
        recorder.write(`${frameLine(frame)}\n`);
        if (beginOf(frame) === null) continue;
        for (const relation of described) recorder.write(`${frameLine(relation)}\n`);
        described = [];
      }
    },
    aside: line => {
      // What came before is in the snapshot.
      if (pinnedAlready) recorder.write(`${line}\n`);
    },
    end: () => recorder.end('the server streams no changes (any more)'),
  });
};

const sendSnapshot = async (
  recorder: RecorderSocket,
  file: string,
  {
    atLeast,
    workers,
    onPinned,
  }: {readonly atLeast: string; readonly workers: number; readonly onPinned: () => void},
): Promise<void> => {
  const db = openReader(file);
  try {
    await pin(db, atLeast, recorder.gone);
    onPinned();
    const {replicaVersion, stateVersion, publications} = readReplicaState(db);
    const told = {format: FIXTURE_FORMAT, replicaVersion, stateVersion, publications, workers};
    recorder.write(`${JSON.stringify({recording: told})}\n`);
    let chunk = '';
    let turnEndsMs = performance.now() + SLICE_MS;
    for (const line of copyReplica(db)) {
      chunk += `${line}\n`;
      if (chunk.length >= CHUNK_BYTES) {
        const room = recorder.write(chunk);
        chunk = '';
        if (!room) await recorder.drained(STALLED_MS);
      }
      if (performance.now() > turnEndsMs) {
        await new Promise(resolve => setImmediate(resolve));
        turnEndsMs = performance.now() + SLICE_MS;
      }
      if (recorder.gone.aborted) return;
    }
    recorder.write(`${chunk}{"snapshot":"complete"}\n`);
  } finally {
    db.close();
  }
};

/** Begins a snapshot that holds everything up to `atLeast`, which is being applied, or never will be if the chain has ended. */
const pin = async (db: Database, atLeast: string, gone: AbortSignal): Promise<void> => {
  for (;;) {
    db.exec('BEGIN');
    const version = db.prepare('SELECT stateVersion FROM "_zero.replicationState"').pluck().get() as string;
    if (version >= atLeast) return;
    db.exec('COMMIT');
    await setTimeout(10, undefined, {signal: gone});
  }
};
