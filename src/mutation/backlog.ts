import type {ClientConnection} from '../sync/types.ts';

/**
 * How much of each connection is under way. A connection beyond the mark is read no further until half of it is done, so
 * that a client that writes faster than the database, or the app's server, waits in its own socket.
 */
export class Backlog {
  readonly #mark: number;
  readonly #counts = new Map<ClientConnection, number>();
  readonly #waiting = new Map<ClientConnection, () => void>();

  constructor(mark: number) {
    this.#mark = mark;
  }

  enter(connection: ClientConnection, count = 1): void {
    this.#counts.set(connection, (this.#counts.get(connection) ?? 0) + count);
  }

  leave(connection: ClientConnection, count = 1): void {
    const left = (this.#counts.get(connection) ?? 0) - count;
    if (left > 0) this.#counts.set(connection, left);
    else this.#counts.delete(connection);
    if (left > this.#mark / 2) return;
    this.#waiting.get(connection)?.();
    this.#waiting.delete(connection);
  }

  /** Resolves when the connection may go on. One caller per connection at a time: its messages come one by one. */
  room(connection: ClientConnection): Promise<void> {
    if ((this.#counts.get(connection) ?? 0) < this.#mark) return Promise.resolve();
    return new Promise(resolve => this.#waiting.set(connection, resolve));
  }
}
