import {mkdtempSync, rmSync} from 'node:fs';
import {connect as connectSocket, createServer, type Server, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import type {VersionReady} from '../sync/types.ts';

/**
 * Versions go from the replicator to the sync workers over a local socket of their own: through the dispatcher each commit
 * would wake a third process. A line per version: version, commit upstream (ms or nothing), ready (ms). Who connects is
 * told the newest version at once. The last line of a replica that is given up is empty.
 */
const lineOf = ({version, upstreamCommitTimeMs, readyTimeMs}: VersionReady): string =>
  `${version} ${upstreamCommitTimeMs ?? ''} ${readyTimeMs}\n`;

const readyOf = (line: string): VersionReady => {
  const [version = '', committed = '', ready = ''] = line.split(' ');
  return {
    version,
    upstreamCommitTimeMs: committed ? Number(committed) : null,
    readyTimeMs: Number(ready),
  };
};

/** The replicator's end. */
export class VersionSender {
  /** Where workers connect; valid while the process lives. */
  readonly path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #latest: VersionReady | null = null;

  private constructor(path: string, server: Server) {
    this.path = path;
    this.#server = server;
    server.on('connection', socket => {
      this.#sockets.add(socket);
      // A reader that lags behind is told the newest version once it has room again.
      socket.on('drain', () => this.#latest && socket.write(lineOf(this.#latest)));
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
      if (this.#latest) socket.write(lineOf(this.#latest));
    });
  }

  /** null if there is no place for such a socket, or the system refuses it. */
  static async open(): Promise<VersionSender | null> {
    try {
      const path =
        process.platform === 'win32'
          ? `\\\\.\\pipe\\zerostream-${process.pid}-${Date.now()}`
          : join(mkdtempSync(join(tmpdir(), 'zerostream-')), 'versions');
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(path, resolve);
      });
      server.unref();
      return new VersionSender(path, server);
    } catch {
      return null;
    }
  }

  send(ready: VersionReady): void {
    this.#latest = ready;
    const line = lineOf(ready);
    for (const socket of this.#sockets) if (socket.writable && !socket.writableNeedDrain) socket.write(line);
  }

  /** What was sent is of a replica that is given up: nobody who listens now shall hear of the next one. */
  forget(): void {
    this.#latest = null;
    for (const socket of this.#sockets) socket.end('\n');
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Readers come back by themselves. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  /** Synchronous, for the end of the process. */
  close(): void {
    this.disconnect();
    this.#server.close();
    removeSocket(this.path);
  }
}

/** Also for the parent of a replicator that could not do it itself. */
export const removeSocket = (path: string): void => {
  if (process.platform !== 'win32') rmSync(dirname(path), {recursive: true, force: true});
};

const RECONNECT_MS = 100;
const BUFFER_BYTES = 4096;

/** The worker's end: calls `next` with each version until the replica is given up. @returns what ends it. */
export const receiveVersions = (path: string, next: (ready: VersionReady) => void): (() => void) => {
  let ended = false;
  let socket: Socket;
  let timer: NodeJS.Timeout | undefined;
  const open = () => {
    let rest = '';
    const buffer = Buffer.alloc(BUFFER_BYTES);
    const callback = (bytes: number) => {
      const lines = (rest + buffer.toString('latin1', 0, bytes)).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        if (ended) break;
        if (line) next(readyOf(line));
        else ended = true;
      }
      return true;
    };
    // One buffer for all reads: as a stream, a read costs three times as much.
    socket = connectSocket({path, onread: {buffer, callback}});
    socket.on('error', () => {});
    socket.on('close', () => {
      if (!ended) timer = setTimeout(open, RECONNECT_MS);
    });
  };
  open();
  return () => {
    ended = true;
    clearTimeout(timer);
    socket.destroy();
  };
};
