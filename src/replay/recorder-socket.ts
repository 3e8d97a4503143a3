import {once} from 'node:events';
import type {Socket} from 'node:net';
import {RECORD_PROTOCOL} from './record-protocol.ts';

/** A recording is given up when its reader falls this far behind; the server is never held up by it. */
const MAX_BEHIND_BYTES = 64 * 1024 * 1024;

export const TOO_SLOW = 'the recorder is too slow';

/** The server's end of a recording: takes lines down an upgraded socket, the last of them being `{"end": reason}`. */
export class RecorderSocket {
  readonly #socket: Socket;
  readonly #gone = new AbortController();
  /** Called once, when the recording has ended from either side. */
  onEnd: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => socket.destroy());
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${RECORD_PROTOCOL}\r\n\r\n`,
    );
    socket.on('close', () => this.#ended());
    // Nothing is expected, but the end of the connection is only seen by reading.
    socket.resume();
  }

  /** Aborted when the recording has ended. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** @returns false if there is no room: see `drained`. */
  write(text: string): boolean {
    if (this.#gone.signal.aborted) return true;
    if (this.#socket.writableLength <= MAX_BEHIND_BYTES) return this.#socket.write(text);
    this.end(TOO_SLOW);
    return true;
  }

  /** Resolves when there is room again. @throws AbortError when the recording ended, or after `patienceMs`. */
  async drained(patienceMs: number): Promise<void> {
    await once(this.#socket, 'drain', {
      signal: AbortSignal.any([this.gone, AbortSignal.timeout(patienceMs)]),
    });
  }

  end(reason: string): void {
    if (this.#gone.signal.aborted) return;
    if (this.#socket.writable) this.#socket.end(`${JSON.stringify({end: reason})}\n`);
    this.#ended();
  }

  #ended(): void {
    if (this.#gone.signal.aborted) return;
    this.#gone.abort();
    this.onEnd();
  }
}
