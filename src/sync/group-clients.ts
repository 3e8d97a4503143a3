import {type CvrVersion, compareVersions, parseCookie} from '../cvr/version.ts';
import type {ErroredQuery} from '../protocol/down.ts';
import {protocolError} from '../protocol/error-body.ts';
import type {ClientConnection} from './types.ts';

export interface Client {
  readonly connection: ClientConnection;
  /** What it holds; null: nothing. */
  version: CvrVersion | null;
  /** False until its initConnection was taken in. */
  ready: boolean;
  /** Whether it got a poke on this connection: the first one comes in any case. */
  poked: boolean;
  /** Passed over until it has read what it was sent; then it is caught up. */
  detached: boolean;
}

/** Bytes a client may leave unread before it is detached. */
export const SLOW_CLIENT_BYTES = 8 * 1024 * 1024;

/** The connected clients of a group: one connection per client, all of one user. */
export class GroupClients {
  readonly #clients = new Map<string, Client>();
  /** undefined until a first connection was taken in. */
  #userID: string | null | undefined;
  /** Whether one of them had a token: then the user's name alone opens nothing. */
  #authenticated = false;

  get userID(): string | null | undefined {
    return this.#userID;
  }

  get size(): number {
    return this.#clients.size;
  }

  all(): IterableIterator<Client> {
    return this.#clients.values();
  }

  /** @throws ProtocolError `ClientNotFound` for a cookie of nobody's making, `Unauthorized` for another user. */
  add(connection: ClientConnection): void {
    const version = connection.baseCookie === null ? null : parseCookie(connection.baseCookie);
    this.#check(connection);
    const previous = this.#clients.get(connection.clientID);
    this.#clients.set(connection.clientID, {
      connection,
      version,
      ready: false,
      poked: false,
      detached: false,
    });
    previous?.connection.close(`replaced by ${connection.wsID}`);
  }

  /**
   * The first connection that was validated decides whose group it is, and the first with a token that all need one.
   * @throws ProtocolError `Unauthorized`
   */
  pin(connection: ClientConnection): void {
    this.#check(connection);
    this.#userID = connection.userID;
    if (this.#authenticated || connection.auth.kind === 'none') return;
    this.#authenticated = true;
    for (const {connection: other} of [...this.#clients.values()])
      if (other.auth.kind === 'none') other.fail(withoutToken());
  }

  /** undefined if the connection is not, or no longer, its client's current one. */
  of(connection: ClientConnection): Client | undefined {
    const client = this.#clients.get(connection.clientID);
    return client?.connection === connection ? client : undefined;
  }

  remove(connection: ClientConnection): boolean {
    return this.of(connection) !== undefined && this.#clients.delete(connection.clientID);
  }

  /**
   * Whether one that has yet to be taken in has seen more than `version`: another server may have written the record since
   * it was read here, or the cookie is nobody's.
   */
  isAhead(version: CvrVersion): boolean {
    for (const client of this.#clients.values())
      if (!client.ready && client.version && compareVersions(client.version, version) > 0) return true;
    return false;
  }

  /** Clients that can be sent something now. */
  attached(): Client[] {
    const attached: Client[] = [];
    for (const client of this.#clients.values())
      if (client.ready && !client.connection.closed && !client.detached) attached.push(client);
    return attached;
  }

  /** Detaches clients that read too slowly; `onDrained` is called when one is back. */
  detachSlow(onDrained: () => void): void {
    for (const client of this.attached()) {
      if (client.connection.bufferedBytes <= SLOW_CLIENT_BYTES) continue;
      client.detached = true;
      void client.connection.drained().then(() => {
        client.detached = false;
        onDrained();
      });
    }
  }

  tellDeleted(clientIDs: readonly string[]): void {
    for (const {connection} of this.#clients.values()) connection.send(['deleteClients', {clientIDs}]);
  }

  tellErrored(clientIDs: Iterable<string>, error: ErroredQuery): void {
    for (const clientID of clientIDs)
      this.#clients.get(clientID)?.connection.send(['transformError', [error]]);
  }

  #check({userID, auth}: ClientConnection): void {
    if (this.#userID !== undefined && this.#userID !== userID)
      throw protocolError('Unauthorized', 'The client group belongs to another user.');
    if (this.#authenticated && auth.kind === 'none') throw withoutToken();
  }
}

const withoutToken = () =>
  protocolError('Unauthorized', 'The client group belongs to a user whose clients have a token.');
