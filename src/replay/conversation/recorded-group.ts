import {ProtocolError} from '../../protocol/error-body.ts';
import type {DeleteClients, InitConnection, UpQueryOp} from '../../protocol/up.ts';
import {ClientGroup, type GroupHooks} from '../../sync/client-group.ts';
import {SLOW_CLIENT_BYTES} from '../../sync/group-clients.ts';
import type {GroupDeps} from '../../sync/group-deps.ts';
import {namedQueriesOf} from '../../sync/transform-queries.ts';
import type {ClientConnection} from '../../sync/types.ts';
import {type Notes, withoutTargets, withoutToken} from './notes.ts';

export interface RecordedGroupDeps extends GroupDeps {
  readonly notes: Notes;
  /** The rows of a group's view record, table by table, in portions. */
  readonly stored: (
    group: string,
  ) => AsyncIterable<{readonly table: string; readonly rows: readonly Record<string, unknown>[]}>;
}

/** A client group of a live server of which notes are taken: enough to let another one do the same in the same order. */
export class RecordedGroup extends ClientGroup {
  readonly #notes: Notes;
  readonly #connections = new Set<ClientConnection>();

  constructor(id: string, deps: RecordedGroupDeps, hooks: GroupHooks) {
    super(id, noting(id, deps), hooks);
    this.#notes = deps.notes;
  }

  override connect(connection: ClientConnection): void {
    const notes = this.#notes;
    notes.add({
      op: 'connect',
      on: notes.numberOf(connection),
      group: this.id,
      client: connection.clientID,
      socket: connection.wsID,
      profile: connection.profileID,
      user: connection.userID,
      cookie: connection.baseCookie,
      protocol: connection.protocolVersion,
      auth: withoutToken(connection.auth),
    });
    super.connect(connection);
    this.#connections.add(connection);
    notes.watch(connection);
  }

  override disconnected(connection: ClientConnection): void {
    if (this.#connections.delete(connection)) {
      this.#notes.unwatch(connection);
      this.#notes.add({op: 'disconnect', on: this.#notes.numberOf(connection)});
    }
    super.disconnected(connection);
  }

  override init(connection: ClientConnection, body: InitConnection): Promise<void> {
    this.#notes.add({op: 'init', on: this.#notes.numberOf(connection), body: withoutTargets(body)});
    return super.init(connection, body);
  }

  override changeDesired(connection: ClientConnection, patch: readonly UpQueryOp[]): Promise<void> {
    this.#notes.add({op: 'changeDesired', on: this.#notes.numberOf(connection), patch});
    return super.changeDesired(connection, patch);
  }

  override deleteClients(connection: ClientConnection, body: DeleteClients): Promise<void> {
    this.#notes.add({op: 'deleteClients', on: this.#notes.numberOf(connection), body});
    return super.deleteClients(connection, body);
  }

  override updateAuth(connection: ClientConnection): Promise<void> {
    this.#notes.add({
      op: 'updateAuth',
      on: this.#notes.numberOf(connection),
      auth: withoutToken(connection.auth),
    });
    return super.updateAuth(connection);
  }

  override retransform(): void {
    this.#notes.add({op: 'retransform', group: this.id});
    super.retransform();
  }

  override prepare(nowMs = performance.now()): void | Promise<void> {
    if (!this.ended) this.#notes.add({op: 'prepare', group: this.id, ms: nowMs});
    return super.prepare(nowMs);
  }

  override fold(): void {
    if (!this.ended) this.#notes.add({op: 'fold', group: this.id});
    super.fold();
  }

  override poke(): void {
    if (!this.ended) this.#notes.add({op: 'poke', group: this.id});
    super.poke();
    // The group does not wait for them, and comes back to them at a time that no replay can know.
    for (const connection of this.#connections) {
      if (connection.bufferedBytes <= SLOW_CLIENT_BYTES || !connection.witness) continue;
      this.#notes.unwatch(connection);
      this.#notes.add({op: 'lost', on: this.#notes.numberOf(connection)});
    }
  }

  override end(error: ProtocolError | null, nowMs = performance.now()): void {
    if (!this.ended) this.#notes.add({op: 'end', group: this.id, ms: nowMs, error: error?.body ?? null});
    super.end(error, nowMs);
    for (const connection of this.#connections) this.#notes.unwatch(connection);
    this.#connections.clear();
  }
}

/** What a group learns from elsewhere is noted on its way. */
const noting = (group: string, {notes, stored, ...deps}: RecordedGroupDeps): GroupDeps => ({
  ...deps,
  loader: {
    load: async (id, connectTimeMs) => {
      for await (const {table, rows} of stored(id)) notes.add({op: 'stored', group, table, rows});
      notes.add({op: 'load', group});
      return deps.loader.load(id, connectTimeMs);
    },
    rows: id => deps.loader.rows(id),
    version: id => deps.loader.version(id),
  },
  transform: async (queries, connection) => {
    const asked = namedQueriesOf(queries);
    if (asked.length === 0) return deps.transform(queries, connection);
    try {
      const answers = await deps.transform(queries, connection);
      const results = asked.flatMap(({hash}) => {
        const answer = answers.get(hash);
        return answer ? [[hash, answer] as const] : [];
      });
      notes.add({op: 'transformed', group, results});
      return answers;
    } catch (error) {
      if (error instanceof ProtocolError) notes.add({op: 'transformed', group, failed: error.body});
      throw error;
    }
  },
});
