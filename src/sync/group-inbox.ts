import type {ConfigContext} from './group-config.ts';
import type {ClientConnection} from './types.ts';

interface Message {
  readonly connection: ClientConnection;
  readonly apply: (context: ConfigContext) => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Messages of a group's clients: those that wait for a cycle, and those that a cycle took in and has not told yet. */
export class GroupInbox {
  #waiting: Message[] = [];
  #taken: Message[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Resolves when clients were told what came of it, or the connection has gone. Rejects with what `apply` throws. */
  put(connection: ClientConnection, apply: Message['apply']): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({connection, apply, resolve, reject});
    });
  }

  /** Takes in what waits, in order. @returns whether anything was accepted. */
  take(context: ConfigContext): boolean {
    const waiting = this.#waiting;
    this.#waiting = [];
    const before = this.#taken.length;
    for (const message of waiting) {
      if (message.connection.closed) {
        message.resolve();
        continue;
      }
      try {
        message.apply(context);
        this.#taken.push(message);
      } catch (error) {
        message.reject(error);
      }
    }
    return this.#taken.length > before;
  }

  /** What was taken in has been told. */
  settle(): void {
    const taken = this.#taken;
    this.#taken = [];
    for (const message of taken) message.resolve();
  }

  /** Nothing will be told any more. */
  reject(error: unknown): void {
    for (const message of [...this.#taken, ...this.#waiting]) message.reject(error);
    this.#taken = [];
    this.#waiting = [];
  }
}
