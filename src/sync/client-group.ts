import type {CatchUp} from '../cvr/catch-up.ts';
import {rehome} from '../cvr/fault.ts';
import type {LifeSign} from '../cvr/store.ts';
import type {Cvr, CvrUpdate} from '../cvr/types.ts';
import {type CvrVersion, compareVersions, formatVersion, isEmpty} from '../cvr/version.ts';
import type {QueryGraph} from '../ivm/registry.ts';
import type {GroupInspection} from '../observe/inspection.ts';
import type {Version} from '../pg/lsn.ts';
import {type ProtocolError, protocolError} from '../protocol/error-body.ts';
import type {DeleteClients, InitConnection, UpQueryOp} from '../protocol/up.ts';
import {checkClientSchema} from './client-schema.ts';
import {toProtocolError} from './connection.ts';
import {GroupClients} from './group-clients.ts';
import {applyDelete, applyInit, type ConfigContext} from './group-config.ts';
import type {GroupDeps} from './group-deps.ts';
import {ConfigChanges, ensureClient, patchDesires} from './group-desires.ts';
import {GroupInbox} from './group-inbox.ts';
import {inspectGroup} from './group-inspection.ts';
import {GroupLifetime} from './group-lifetime.ts';
import {type CatchUps, type Poke, pokesOf} from './group-pokes.ts';
import {GroupQueries} from './group-queries.ts';
import {GroupRows} from './group-rows.ts';
import {updateOf} from './group-update.ts';
import type {InspectedGroup} from './inspect-queries.ts';
import {ensureInternalQueries} from './internal-queries.ts';
import {type NamedQuery, namedQueriesOf} from './transform-queries.ts';
import type {ClientConnection} from './types.ts';

/** What a cycle has computed and is to be made durable, then told. */
interface Folded {
  readonly update: CvrUpdate | null;
  readonly version: CvrVersion;
  readonly pokes: readonly Poke[];
  readonly deletedClients: readonly string[];
}

/** Characters from which on a poke does not wait for the commit: for less, another system call is not worth while. */
const LARGE_POKE = 32 * 1024;

const NO_CATCH_UPS: CatchUps = new Map();

/** What whoever made a group is told by it. */
export interface GroupHooks {
  /** It wants to go through the chain; it does not ask again before it has. */
  onWake(group: ClientGroup): void;
  /** Called once, when it has ended, by itself or by a fault: it must not be used any more. */
  onEnd(group: ClientGroup): void;
}

export type MakeGroup = (id: string, deps: GroupDeps, hooks: GroupHooks) => ClientGroup;

/**
 * Clients that share one local store. All work runs in cycles, one at a time, each in four steps: `prepare` takes in what
 * was asked and reads what is needed, `fold` computes in one synchronous step what changes at which version, `commit`
 * makes it durable, `poke` tells the clients. Whatever happens meanwhile waits for the next cycle.
 */
export class ClientGroup {
  readonly id: string;
  ended = false;
  /** State version of what clients were told in the last cycle; null if they were told nothing. */
  pokedState: Version | null = null;
  readonly #deps: GroupDeps;
  readonly #hooks: GroupHooks;
  readonly #clients = new GroupClients();
  readonly #rows: GroupRows;
  readonly #queries: GroupQueries;
  #cycle: 'none' | 'running' | 'running, then again' = 'none';
  #catchUps = NO_CATCH_UPS;
  #folded: Folded | null = null;
  /** Set when it ends with nothing pending. */
  #rowSets: LifeSign['rowSets'];
  readonly #inbox = new GroupInbox();
  readonly #lifetime: GroupLifetime;
  #cvr: Cvr | null = null;
  #changes = new ConfigChanges();
  /** When this cycle began. */
  #cycleMs = 0;
  #connectTimeMs = Date.now();
  #schemaChecked = false;

  constructor(id: string, deps: GroupDeps, hooks: GroupHooks) {
    this.id = id;
    this.#deps = deps;
    this.#hooks = hooks;
    this.#rows = new GroupRows(deps.views, deps.shard, () => this.wake());
    this.#queries = new GroupQueries(deps, this.#rows, this.#clients);
    this.#lifetime = new GroupLifetime(deps.lingerMs, {
      onExpiry: () => this.wake(),
      onAbandoned: () => this.end(null),
    });
  }

  /** @throws ProtocolError if the client cannot be one of this group. */
  connect(connection: ClientConnection): void {
    try {
      this.#clients.add(connection);
      this.#connectTimeMs = Date.now();
    } finally {
      this.#lifetime.linger(this.#clients.size === 0);
    }
  }

  disconnected(connection: ClientConnection): void {
    if (this.#clients.remove(connection)) this.#lifetime.linger(this.#clients.size === 0);
  }

  /** Whether its initConnection was taken in. */
  serves(connection: ClientConnection): boolean {
    return this.#clients.of(connection)?.ready ?? false;
  }

  init(connection: ClientConnection, body: InitConnection): Promise<void> {
    return this.#enqueue(connection, context => {
      const client = this.#clients.of(connection);
      if (!client) return;
      this.#clients.pin(connection);
      applyInit(context, client, body);
      this.#queries.authenticate(connection);
    });
  }

  changeDesired(connection: ClientConnection, patch: readonly UpQueryOp[]): Promise<void> {
    return this.#enqueue(connection, ({cvr, changes, nowMs}) => {
      const client = this.#clients.of(connection);
      if (!client) return;
      // Another tab may have taken it for gone.
      ensureClient(cvr, changes, connection.clientID);
      patchDesires(cvr, changes, connection.clientID, patch, nowMs);
    });
  }

  deleteClients(connection: ClientConnection, body: DeleteClients): Promise<void> {
    return this.#enqueue(connection, context => applyDelete(context, connection.clientID, body));
  }

  /** The connection has a new credential. */
  updateAuth(connection: ClientConnection): Promise<void> {
    return this.#enqueue(connection, () => {
      this.#clients.pin(connection);
      this.#queries.authenticate(connection);
    });
  }

  /** Queries that the app's endpoint is asked for. Empty before the view record was loaded. */
  namedQueries(): NamedQuery[] {
    return namedQueriesOf(this.#cvr?.queries.values() ?? []);
  }

  /** Those that were taken in. */
  *connections(): Generator<ClientConnection> {
    for (const {ready, connection} of this.#clients.all()) if (ready && !connection.closed) yield connection;
  }

  /** The connection whose credential counts for all, if there is one. */
  credential(): ClientConnection | null {
    return this.#queries.credential();
  }

  /** Every query is transformed again: the app's server may say something else by now. */
  retransform(): void {
    this.#queries.invalidate();
    this.wake();
  }

  /** Permissions or tables changed: queries are transformed, and the client schema checked, again. */
  invalidate(schemaChanged: boolean): void {
    if (schemaChanged) this.#schemaChecked = false;
    this.#queries.invalidate();
    this.wake();
  }

  /** A graph can no longer be maintained. */
  graphFailed(graph: QueryGraph, error: Error): void {
    this.#queries.fail(graph, error);
    this.wake();
  }

  graphs(): Iterable<QueryGraph> {
    return this.#rows.graphs.values();
  }

  /** Ends the group, with an error for its clients or with a plain close. */
  end(error: ProtocolError | null, nowMs = performance.now()): void {
    if (this.ended) return;
    this.ended = true;
    this.#lifetime.end(nowMs);
    if (this.#cvr && this.#cycle === 'none' && this.#rows.based && this.#rows.pendingRows === 0)
      this.#rowSets = {version: formatVersion(this.#cvr.version), sets: this.#queries.rowSets()};
    this.#hooks.onEnd(this);
    for (const {connection} of [...this.#clients.all()])
      if (error) connection.fail(error);
      else connection.close('client group closed');
    this.#inbox.reject(error ?? protocolError('Internal', 'The client group was closed.'));
    this.#queries.release();
  }

  fail(error: unknown): void {
    this.end(toProtocolError(error, this.#deps.log, this.id));
  }

  /** Asks for a cycle, or for another one after that which runs. */
  wake(): void {
    if (this.ended) return;
    if (this.#cycle === 'none') {
      this.#cycle = 'running';
      this.#hooks.onWake(this);
    } else this.#cycle = 'running, then again';
  }

  /** Step 1: takes in messages, reads what is needed. Mostly there is nothing to do but to tell what an epoch changed. */
  prepare(nowMs = performance.now()): void | Promise<void> {
    if (this.ended) return;
    this.#cycleMs = nowMs;
    this.#catchUps = NO_CATCH_UPS;
    if (!this.#isSettled()) return this.#prepare();
  }

  /** Step 2: synchronous, at one version of the registry. */
  fold(): void {
    if (this.ended) return;
    const cvr = this.#cvr!;
    const {registry, shard} = this.#deps;
    const old = cvr.version;
    const changes = this.#changes;
    const result = updateOf(cvr, changes, this.#rows.fold(), {
      shard,
      version: registry.version,
      replicaVersion: registry.replicaVersion,
      graphOf: hash => this.#queries.graphOf(hash),
      connectTimeMs: this.#connectTimeMs,
      ttlClockMs: this.#lifetime.clockMs(this.#cycleMs),
    });
    if (result) this.#rows.clear();
    if (result || changes.acknowledgeDeleted.length) this.#changes = new ConfigChanges();
    const {pokes, incomplete} = pokesOf(this.#rows.based ? this.#clients.attached() : [], {
      shard,
      cvr,
      rows: this.#rows,
      catchUps: this.#catchUps,
      old,
      body: result?.body ?? null,
      rowsAlone: result?.rowsAlone ?? null,
    });
    if (incomplete) this.wake();
    const {acknowledgeDeleted: deletedClients} = changes;
    this.#folded = {update: result?.update ?? null, version: cvr.version, pokes, deletedClients};
  }

  /**
   * Step 3: durable before any client takes it in, which it does at the end of a poke. Large ones are on their way meanwhile;
   * if the record cannot be written, the connection ends without it (D-057).
   */
  commit(): void | Promise<void> {
    const folded = this.#folded;
    if (this.ended || !folded?.update) return;
    // The statement leaves first.
    if (folded.pokes.length) setImmediate(() => this.#sendEarly(folded));
    return this.#deps.store.commit(folded.update);
  }

  #sendEarly(folded: Folded): void {
    if (this.ended || this.#folded !== folded) return;
    for (const poke of folded.pokes) {
      const {client, frames} = poke;
      if (frames.chars < LARGE_POKE) {
        frames.all();
        continue;
      }
      for (const some of frames.beginning()) client.connection.sendFrames(some);
      poke.begun = true;
    }
  }

  /** Step 4: sends, and settles the messages. */
  poke(): void {
    const folded = this.#folded;
    this.#folded = null;
    if (this.ended || !folded) return;
    const {pokes, version, deletedClients} = folded;
    for (const {client, frames, begun} of pokes) {
      if (client.connection.closed) continue;
      client.connection.sendFrames(begun ? [frames.end] : frames.all());
      client.version = version;
      client.poked = true;
    }
    this.pokedState = pokes.length ? version.state : null;
    if (deletedClients.length) this.#clients.tellDeleted(deletedClients);
    this.#inbox.settle();
    this.#clients.detachSlow(() => this.wake());
    const again = this.#cycle === 'running, then again' || !this.#inbox.isEmpty;
    this.#cycle = 'none';
    if (again) this.wake();
  }

  /** null before the view record was loaded or written. */
  lifeSign(): LifeSign | null {
    if (!this.#cvr || isEmpty(this.#cvr.version)) return null;
    return {clientGroupID: this.id, ttlClockMs: this.#lifetime.clockMs(), rowSets: this.#rowSets};
  }

  /** For the client's inspector; null before the view record was loaded. */
  inspected(): InspectedGroup | null {
    return (
      this.#cvr && {
        cvr: this.#cvr,
        nowMs: this.#lifetime.clockMs(),
        graphOf: hash => this.#queries.graphOf(hash),
      }
    );
  }

  inspect(): GroupInspection {
    return inspectGroup(this.id, this.#cvr, this.#rows, this.#clients, this.#deps.registry.version);
  }

  async #load(): Promise<Cvr> {
    await this.#deps.store.settled(this.id);
    const cvr = await this.#deps.loader.load(this.id, this.#connectTimeMs);
    this.#lifetime.start(cvr.ttlClockMs, this.#cycleMs);
    ensureInternalQueries(cvr, this.#deps.shard);
    return cvr;
  }

  /** True if nothing but rows can have changed since the last cycle. */
  #isSettled(): boolean {
    const cvr = this.#cvr;
    if (!cvr || !this.#inbox.isEmpty || !this.#schemaChecked || !this.#rows.based) return false;
    if (!this.#queries.inStep) return false;
    if (this.#lifetime.isExpiryDue(this.#cycleMs)) return false;
    return this.#clients
      .attached()
      .every(({version}) => version && compareVersions(version, cvr.version) === 0);
  }

  async #prepare(): Promise<void> {
    const {loader, registry, reached, shard} = this.#deps;
    const cvr = (this.#cvr ??= await this.#load());
    if (cvr.replicaVersion !== null && cvr.replicaVersion > registry.replicaVersion)
      throw protocolError('ClientNotFound', 'Cannot sync from older replica');
    if (this.#clients.isAhead(cvr.version) && (await loader.version(this.id)) !== formatVersion(cvr.version))
      throw rehome('The view record was changed elsewhere.');
    await reached(cvr.version.state);
    const nowMs = this.#lifetime.clockMs(this.#cycleMs);
    if (this.#inbox.take({cvr, changes: this.#changes, tables: registry.tables, shard, nowMs}))
      this.#queries.changed();
    // A group whose only client was refused holds nothing to serve.
    if (!cvr.clientSchema) return;
    if (!this.#schemaChecked) checkClientSchema(cvr.clientSchema, registry.tables, shard);
    this.#schemaChecked = true;
    const answered = await this.#queries.sync(cvr, this.#changes, nowMs);
    if (!this.#rows.based) {
      // Without its queries a group that comes back would seem to have lost its rows.
      if (!answered && !isEmpty(cvr.version)) return;
      await this.#rebase(cvr);
    }
    this.#catchUps = await this.#readCatchUps(cvr);
    this.#lifetime.planExpiry(this.#clients.size > 0 ? cvr : null);
  }

  #enqueue(connection: ClientConnection, apply: (context: ConfigContext) => void): Promise<void> {
    const told = this.#inbox.put(connection, apply);
    this.wake();
    return told;
  }

  /** Finds out what clients hold: at best without reading it. */
  async #rebase(cvr: Cvr): Promise<void> {
    const unchanged = this.#queries.unchangedSince(cvr);
    cvr.rowSets = null;
    if (unchanged) this.#rows.rebaseOn(unchanged, cvr.version.state);
    else this.#rows.rebase(isEmpty(cvr.version) ? new Map() : await this.#deps.loader.rows(this.id));
  }

  async #readCatchUps(cvr: Cvr): Promise<CatchUps> {
    const read = new Map<string, CatchUp>();
    for (const {version} of this.#clients.attached()) {
      if (version === null || compareVersions(version, cvr.version) >= 0) continue;
      const from = formatVersion(version);
      if (!read.has(from)) read.set(from, await this.#deps.catchUps.read(this.id, version, cvr.version));
    }
    return read;
  }
}
