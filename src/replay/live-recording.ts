import {once} from 'node:events';
import type {Socket} from 'node:net';
import type {Database} from 'better-sqlite3';
import {VERSION_ZERO, versionOfLsn} from '../pg/lsn.ts';
import {openReader} from '../replica/open.ts';
import {readReplicaState} from '../replica/sync-context.ts';
import {copyReplica} from './copy-replica.ts';
import {FIXTURE_FORMAT} from './fixture.ts';
import type {FrameTap} from './frame-tap.ts';
import {RECORD_PROTOCOL} from './record-protocol.ts';
import {beginOf, frameLine} from './recording.ts';

/** A recording is given up when its reader falls this far behind; replication is never held up by it. */
const MAX_BEHIND_BYTES = 64 * 1024 * 1024;
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
export const recordLive = (socket: Socket, tap: FrameTap, replicaFile: string): void => {
  socket.on('error', () => socket.destroy());
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${RECORD_PROTOCOL}\r\n\r\n`,
  );
  const gone = new AbortController();
  let pinnedAlready = false;
  /** Sent within the first transaction, which is where descriptions come. */
  let described: readonly Buffer[] = [];
  let stop = () => {};
  const end = (reason: string) => {
    stop();
    if (socket.writable) socket.end(`${JSON.stringify({end: reason})}\n`);
  };
  stop = tap.listen({
    start: (relations, lastCommit) => {
      described = relations;
      const atLeast = lastCommit === null ? VERSION_ZERO : versionOfLsn(lastCommit);
      void sendSnapshot(socket, replicaFile, atLeast, gone.signal, () => {
        pinnedAlready = true;
      }).catch((error: Error) =>
        end(
          error.name === 'AbortError'
            ? 'the recorder is too slow'
            : `the replica cannot be read (${error.message})`,
        ),
      );
    },
    frames: frames => {
      if (socket.writableLength > MAX_BEHIND_BYTES) return end('the recorder is too slow');
      for (const frame of frames) {
        socket.write(`${frameLine(frame)}\n`);
        if (beginOf(frame) === null) continue;
        for (const relation of described) socket.write(`${frameLine(relation)}\n`);
        described = [];
      }
    },
    aside: line => {
      // What came before is in the snapshot.
      if (pinnedAlready) socket.write(`${line}\n`);
    },
    end: () => end('the server streams no changes (any more)'),
  });
  socket.on('close', () => {
    stop();
    gone.abort();
  });
  // Nothing is expected, but the end of the connection is only seen by reading.
  socket.resume();
};

const sendSnapshot = async (
  socket: Socket,
  file: string,
  atLeast: string,
  gone: AbortSignal,
  onPinned: () => void,
): Promise<void> => {
  const db = await pinned(file, atLeast, onPinned);
  try {
    const {replicaVersion, stateVersion, publications} = readReplicaState(db);
    socket.write(
      `${JSON.stringify({recording: {format: FIXTURE_FORMAT, replicaVersion, stateVersion, publications}})}\n`,
    );
    let chunk = '';
    let turnEndsMs = performance.now() + SLICE_MS;
    for (const line of copyReplica(db)) {
      chunk += `${line}\n`;
      if (chunk.length >= CHUNK_BYTES) {
        const room = socket.write(chunk);
        chunk = '';
        if (!room)
          await once(socket, 'drain', {signal: AbortSignal.any([gone, AbortSignal.timeout(STALLED_MS)])});
      }
      if (performance.now() > turnEndsMs) {
        await new Promise(resolve => setImmediate(resolve));
        turnEndsMs = performance.now() + SLICE_MS;
      }
      if (socket.destroyed) return;
    }
    socket.write(`${chunk}{"snapshot":"complete"}\n`);
  } finally {
    db.close();
  }
};

/** A snapshot of the replica that holds everything up to `atLeast`, which is being applied. */
const pinned = async (file: string, atLeast: string, onPinned: () => void): Promise<Database> => {
  const db = openReader(file);
  for (;;) {
    db.exec('BEGIN');
    const version = db.prepare('SELECT stateVersion FROM "_zero.replicationState"').pluck().get() as string;
    if (version >= atLeast) {
      onPinned();
      return db;
    }
    db.exec('COMMIT');
    await new Promise(resolve => setTimeout(resolve, 10));
  }
};
