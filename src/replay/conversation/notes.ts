import type {Auth} from '../../auth/auth.ts';
import type {Down} from '../../protocol/down.ts';
import type {InitConnection} from '../../protocol/up.ts';
import type {ClientConnection} from '../../sync/types.ts';
import type {Line, RecordedAuth} from './line.ts';

/** What groups tell their clients by themselves; everything else depends on more than a recording has. */
const TOLD_BY_GROUPS: ReadonlySet<string> = new Set(['deleteClients', 'transformError']);

/** Takes down what happens to the recorded groups of a worker, as lines of JSON, until it is closed. */
export class Notes {
  readonly #out: (line: string) => void;
  readonly #numbers = new WeakMap<ClientConnection, number>();
  /** Poke messages that were sent before the rest of their poke. */
  readonly #begun = new Map<ClientConnection, Buffer[]>();
  #next = 1;
  #closed = false;

  /** @param numberOf gives connections the numbers that they have already. */
  constructor(out: (line: string) => void, numberOf?: (connection: ClientConnection) => number) {
    this.#out = out;
    if (numberOf) this.numberOf = numberOf;
  }

  add(line: Exclude<Line, {op: 'sent'}>): void {
    if (!this.#closed) this.#out(JSON.stringify(line));
  }

  /** A connection's number; it is given one when it is first seen. */
  readonly numberOf = (connection: ClientConnection): number => {
    let number = this.#numbers.get(connection);
    if (number === undefined) this.#numbers.set(connection, (number = this.#next++));
    return number;
  };

  /** Takes down what the connection is sent from here on. */
  watch(connection: ClientConnection): void {
    connection.witness = {
      message: message => this.#message(connection, message),
      frames: frames => this.#frames(connection, frames),
    };
  }

  /** It goes on, but is not looked at any more. */
  unwatch(connection: ClientConnection): void {
    connection.witness = null;
    this.#begun.delete(connection);
  }

  close(): void {
    this.#closed = true;
    this.#begun.clear();
  }

  #message(connection: ClientConnection, message: Down): void {
    if (TOLD_BY_GROUPS.has(message[0])) this.#sent(connection, JSON.stringify(message));
  }

  /** A large poke is sent in two pieces; it is written down when it is complete. */
  #frames(connection: ClientConnection, frames: readonly Buffer[]): void {
    if (this.#closed) return this.unwatch(connection);
    const all = [...(this.#begun.get(connection) ?? []), ...frames];
    if (all.at(-1)!.subarray(0, POKE_END.length).equals(POKE_END)) {
      this.#begun.delete(connection);
      this.#sent(connection, all.join());
    } else this.#begun.set(connection, all);
  }

  #sent(connection: ClientConnection, messages: string): void {
    if (!this.#closed) this.#out(`{"op":"sent","on":${this.numberOf(connection)},"messages":[${messages}]}`);
  }
}

const POKE_END = Buffer.from('["pokeEnd"');

/** Headers for the app's server, and parameters of its address, are credentials as well. */
export const withoutTargets = ({
  userPushURL,
  userPushHeaders,
  userQueryURL,
  userQueryHeaders,
  ...body
}: InitConnection): InitConnection => body;

/** What queries can depend on; tokens are not written down. */
export const withoutToken = (auth: Auth): RecordedAuth =>
  auth.kind === 'jwt' ? {kind: 'jwt', claims: auth.claims} : {kind: auth.kind};
