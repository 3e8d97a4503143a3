import {createHash} from 'node:crypto';
import type pg from 'pg';
import {Subject} from 'rxjs';
import {type CatchUp, readCatchUp} from '../cvr/catch-up.ts';
import {loadCvr, loadRows} from '../cvr/load.ts';
import type {CvrStore} from '../cvr/store.ts';
import {expiryMs} from '../cvr/ttl.ts';
import type {Cvr, CvrUpdate, QueryRecord} from '../cvr/types.ts';
import {
  type CvrVersion,
  compareVersions,
  EMPTY,
  formatVersion,
  nextVersion,
  parseCookie,
} from '../cvr/version.ts';
import {DaemonError} from '../errors.ts';
import type {GraphDiff, QueryGraph, QueryRegistry} from '../ivm/registry.ts';
import type {GroupInspection} from '../observe/inspection.ts';
import type {Log} from '../observe/log.ts';
import type {Version} from '../pg/lsn.ts';
import {type ProtocolError, protocolError} from '../protocol/error-body.ts';
import type {DeleteClients, InitConnection, UpQueryOp} from '../protocol/up.ts';
import type {AST} from '../zql/ast.ts';
import {checkClientSchema, primaryKeysOf} from './client-schema.ts';
import {toProtocolError} from './connection.ts';
import {ConfigChanges, deleteClients, ensureClient, INTERNAL_QUERIES, patchDesires} from './group-desires.ts';
import {GroupRows} from './group-rows.ts';
import {PokeBody, pokeFrames} from './poke.ts';
import type {ClientConnection} from './types.ts';

export interface GroupDeps {
  readonly shard: string;
  readonly taskID: string;
  readonly log: Log;
  readonly registry: QueryRegistry;
  readonly pool: pg.Pool;
  readonly store: CvrStore;
  /** The query as it is to be run for these claims: permissions added, parameters bound. */
  readonly transform: (ast: AST, claims: Readonly<Record<string, unknown>>) => AST;
  /** Resolves when the registry has reached a version. */
  readonly reached: (version: Version) => Promise<void>;
  /** The group has ended, by itself or by a fault: it must not be used any more. */
  readonly onEnd: (group: ClientGroup) => void;
}

interface Client {
  readonly connection: ClientConnection;
  /** What it holds; null: nothing. */
  version: CvrVersion | null;
  /** False until its initConnection was taken in. */
  ready: boolean;
  poked: boolean;
}

interface Message {
  readonly connection: ClientConnection;
  readonly apply: (cvr: Cvr, changes: ConfigChanges) => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Catch-ups that were read, by the version they start from. */
type Prepared = ReadonlyMap<string, CatchUp>;

interface Folded {
  readonly update: CvrUpdate | null;
  readonly version: CvrVersion;
  readonly pokes: readonly {readonly client: Client; readonly frames: readonly string[]}[];
  readonly settled: readonly Message[];
  readonly deletedClients: readonly string[] | null;
}

/** Bytes a client may leave unread before it is passed over and caught up later. */
const SLOW_CLIENT_BYTES = 8 * 1024 * 1024;
/** A group without clients is kept this long for a quick reconnect. */
const LINGER_MS = 5000;

/**
 * Clients that share one local store. All work runs in cycles, one at a time, each in four steps: `prepare` takes in what
 * was asked and reads what is needed, `fold` computes in one synchronous step what changes at which version, `commit`
 * makes it durable, `poke` tells the clients. Whatever happens meanwhile waits for the next cycle.
 */
export class ClientGroup {
  readonly id: string;
  /** Asks for a cycle; the pipeline conflates. */
  readonly wake = new Subject<void>();
  /** The user all connections must share; undefined until the first one. */
  userID: string | null | undefined;
  ended = false;
  readonly #deps: GroupDeps;
  readonly #clients = new Map<string, Client>();
  readonly #rows = new GroupRows();
  #inbox: Message[] = [];
  #taken: Message[] = [];
  #cvr: Cvr | null = null;
  #changes = new ConfigChanges();
  #claims: Readonly<Record<string, unknown>> = {};
  #connectTimeMs = Date.now();
  #loadedAtMs = Date.now();
  #ttlAtLoadMs = 0;
  #stale = true;
  #schemaChecked = false;
  #announceDeleted: string[] | null = null;
  #lingerTimer: NodeJS.Timeout | undefined;
  #expiryTimer: NodeJS.Timeout | undefined;
  readonly #failedQueries = new Map<string, string>();

  constructor(id: string, deps: GroupDeps) {
    this.id = id;
    this.#deps = deps;
  }

  connect(connection: ClientConnection): void {
    clearTimeout(this.#lingerTimer);
    if (this.userID !== undefined && this.userID !== connection.userID)
      throw protocolError('Unauthorized', 'The client group belongs to another user.');
    this.userID = connection.userID;
    if (connection.auth.kind === 'jwt') this.#claims = connection.auth.claims;
    this.#connectTimeMs = Date.now();
    const version = connection.baseCookie === null ? null : parseCookie(connection.baseCookie);
    const previous = this.#clients.get(connection.clientID);
    this.#clients.set(connection.clientID, {connection, version, ready: false, poked: false});
    previous?.connection.close(`replaced by ${connection.wsID}`);
  }

  disconnected(connection: ClientConnection): void {
    if (this.#clients.get(connection.clientID)?.connection !== connection) return;
    this.#clients.delete(connection.clientID);
    if (this.#clients.size === 0 && !this.ended)
      this.#lingerTimer = setTimeout(() => this.end(null), LINGER_MS).unref();
  }

  init(connection: ClientConnection, body: InitConnection): Promise<void> {
    return this.#enqueue(connection, (cvr, changes) => {
      const client = this.#clients.get(connection.clientID);
      if (client?.connection !== connection) return;
      checkCookie(client.version, cvr.version);
      if (body.clientSchema) this.#setSchema(cvr, changes, body.clientSchema);
      else if (!cvr.clientSchema)
        throw protocolError(
          'InvalidConnectionRequest',
          'The initConnection message for a new client group must include client schema.',
        );
      if (cvr.profileID !== connection.profileID) {
        cvr.profileID = connection.profileID;
        changes.instance = true;
      }
      ensureClient(cvr, changes, connection.clientID);
      patchDesires(cvr, changes, connection.clientID, body.desiredQueriesPatch, this.#ttlClock());
      if (body.activeClients) {
        const active = new Set([...body.activeClients, connection.clientID]);
        deleteClients(
          cvr,
          changes,
          [...cvr.clients].filter(id => !active.has(id)),
          this.#ttlClock(),
        );
      }
      if (body.deleted) this.#delete(cvr, changes, connection, body.deleted);
      client.ready = true;
    });
  }

  changeDesired(connection: ClientConnection, patch: readonly UpQueryOp[]): Promise<void> {
    return this.#enqueue(connection, (cvr, changes) => {
      ensureClient(cvr, changes, connection.clientID);
      patchDesires(cvr, changes, connection.clientID, patch, this.#ttlClock());
    });
  }

  deleteClients(connection: ClientConnection, body: DeleteClients): Promise<void> {
    return this.#enqueue(connection, (cvr, changes) => this.#delete(cvr, changes, connection, body));
  }

  updateAuth(connection: ClientConnection): void {
    if (connection.auth.kind === 'jwt') this.#claims = connection.auth.claims;
    this.#stale = true;
    this.wake.next();
  }

  /** An epoch in which graphs of this group changed. */
  advance(diffs: readonly GraphDiff[]): void {
    this.#rows.touch(diffs);
    this.wake.next();
  }

  /** Permissions or tables changed: queries are transformed, and the client schema checked, again. */
  invalidate(schemaChanged: boolean): void {
    this.#stale = true;
    this.#failedQueries.clear();
    if (schemaChanged) this.#schemaChecked = false;
    this.wake.next();
  }

  /** A graph can no longer be maintained. */
  graphFailed(graph: QueryGraph, error: Error): void {
    for (const [hash, own] of this.#rows.queries) if (own === graph) this.#failQuery(hash, error.message);
    this.#stale = true;
    this.wake.next();
  }

  graphs(): Iterable<QueryGraph> {
    return new Set(this.#rows.queries.values());
  }

  /** Ends the group, with an error for its clients or with a plain close. */
  end(error: ProtocolError | null): void {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.#lingerTimer);
    clearTimeout(this.#expiryTimer);
    this.#deps.onEnd(this);
    for (const {connection} of [...this.#clients.values()])
      if (error) connection.fail(error);
      else connection.close('client group closed');
    for (const message of [...this.#taken, ...this.#inbox])
      message.reject(error ?? protocolError('Internal', 'The client group was closed.'));
    for (const graph of this.#rows.queries.values()) this.#deps.registry.release(graph);
    this.wake.complete();
  }

  fail(error: unknown): void {
    this.end(toProtocolError(error, this.#deps.log, this.id));
  }

  /** Step 1: takes in messages, reads what is needed. */
  async prepare(): Promise<Prepared> {
    const {registry, pool, shard, taskID} = this.#deps;
    if (!this.#cvr) {
      this.#cvr = await loadCvr(pool, {
        shard,
        clientGroupID: this.id,
        taskID,
        connectTimeMs: this.#connectTimeMs,
      });
      this.#ttlAtLoadMs = this.#cvr.ttlClockMs;
      this.#loadedAtMs = Date.now();
      this.#ensureInternal(this.#cvr);
    }
    const cvr = this.#cvr;
    if (cvr.replicaVersion !== null && cvr.replicaVersion > registry.replicaVersion)
      throw protocolError('ClientNotFound', 'Cannot sync from older replica');
    await this.#deps.reached(cvr.version.state);
    this.#taken = this.#inbox;
    this.#inbox = [];
    for (const message of [...this.#taken]) {
      if (message.connection.closed) continue;
      try {
        message.apply(cvr, this.#changes);
      } catch (error) {
        this.#taken.splice(this.#taken.indexOf(message), 1);
        message.reject(error);
      }
    }
    if (!this.#schemaChecked && cvr.clientSchema) {
      checkClientSchema(cvr.clientSchema, registry.tables);
      this.#schemaChecked = true;
    }
    // A group whose only client was refused holds nothing to serve.
    if (cvr.clientSchema) {
      await this.#syncQueries(cvr);
      if (!this.#rows.based)
        this.#rows.rebase(
          compareVersions(cvr.version, EMPTY) === 0 ? new Map() : await loadRows(pool, shard, this.id),
        );
    }
    return this.#readCatchUps(cvr);
  }

  /** Step 2: synchronous, at one version of the registry. */
  fold(prepared: Prepared): Folded {
    const cvr = this.#cvr!;
    const {registry} = this.#deps;
    const old = cvr.version;
    const rows = this.#rows.fold();
    for (const [hash] of this.#rows.queries) {
      const query = cvr.queries.get(hash);
      if (query && this.#isNews(query)) this.#changes.queries.add(query);
    }
    const changes = this.#changes;
    const settled = this.#taken;
    this.#taken = [];
    const moved = rows.puts.length > 0 || rows.dels.length > 0 || !changes.empty;
    if (!moved && !changes.instance)
      return {
        update: null,
        version: old,
        pokes: this.#pokes(old, old, null, prepared),
        settled,
        deletedClients: this.#takeDeleted(),
      };
    // Without anything to tell, an instance write keeps its version (views.md §3.3).
    const version = moved ? nextVersion(old, registry.version) : old;
    const text = formatVersion(version);
    const body = new PokeBody(this.#deps.shard);
    for (const row of rows.puts) body.put(row);
    for (const id of rows.dels) body.delete(id);
    for (const {clientID, op} of changes.patches) body.desire(clientID, [op]);
    for (const query of changes.queries) {
      const graph = this.#rows.graphOf(query.hash);
      if (!graph) continue;
      const hash = transformationHash(graph.text);
      if (query.transformationHash !== hash) {
        query.transformationHash = hash;
        query.transformationVersion = text;
      }
      if (query.patchVersion === null && !query.internal) {
        query.patchVersion = text;
        body.got.push({op: 'put', hash: query.hash});
      }
    }
    for (const [hash, query] of changes.removed)
      if (query.patchVersion !== null) body.got.push({op: 'del', hash});
    const update: CvrUpdate = {
      clientGroupID: this.id,
      expectedVersion: formatVersion(old),
      version: text,
      connectTimeMs: this.#connectTimeMs,
      ttlClockMs: this.#ttlClock(),
      replicaVersion: registry.replicaVersion,
      clientSchema: cvr.clientSchema,
      profileID: cvr.profileID,
      newClients: [...changes.newClients],
      deletedClients: [...changes.deletedClients],
      queries: [
        ...[...changes.queries].map(query => ({...query, deleted: false})),
        ...[...changes.removed.values()].map(query => ({
          ...query,
          patchVersion: text,
          transformationHash: null,
          transformationVersion: null,
          deleted: true,
        })),
      ],
      desires: [...changes.desires.values()].map(({clientID, hash, desire}) => ({...desire, clientID, hash})),
      rows: this.#rows.writes(rows, text),
    };
    this.#rows.clear();
    this.#changes = new ConfigChanges();
    cvr.version = version;
    cvr.replicaVersion = registry.replicaVersion;
    return {
      update,
      version,
      pokes: this.#pokes(old, version, body, prepared),
      settled,
      deletedClients: this.#takeDeleted(),
    };
  }

  /** Step 3: durable before any client learns of it. */
  async commit(folded: Folded): Promise<Folded> {
    if (folded.update) await this.#deps.store.commit(folded.update);
    return folded;
  }

  /** Step 4: sends, settles the messages, plans the next expiry. */
  poke({pokes, version, settled, deletedClients: deleted}: Folded): void {
    for (const {client, frames} of pokes) {
      if (client.connection.closed) continue;
      client.connection.sendFrames(frames);
      client.version = version;
      client.poked = true;
    }
    if (deleted)
      for (const {connection} of this.#clients.values())
        connection.send(['deleteClients', {clientIDs: deleted}]);
    for (const message of settled) message.resolve();
    this.#planExpiry();
    for (const client of this.#clients.values())
      if (client.ready && client.connection.bufferedBytes > SLOW_CLIENT_BYTES)
        void client.connection.drained().then(() => this.wake.next());
    if (this.#inbox.length) this.wake.next();
  }

  inspect(): GroupInspection {
    const version = this.#cvr ? formatVersion(this.#cvr.version) : '00';
    return {
      clientGroupID: this.id,
      cvrVersion: version,
      servedVersion: this.#deps.registry.version,
      userID: this.userID ?? null,
      pendingRows: this.#rows.pendingRows,
      queries: [...(this.#cvr?.queries.values() ?? [])].map(query => ({
        hash: query.hash,
        name: query.name,
        graph: this.#rows.graphOf(query.hash)?.id ?? null,
        got: query.patchVersion !== null,
        rows: this.#rows.graphOf(query.hash)?.size ?? 0,
      })),
      clients: [...this.#clients.values()].map(({connection, version}) => ({
        clientID: connection.clientID,
        cookie: version && formatVersion(version),
        bufferedBytes: connection.bufferedBytes,
      })),
    };
  }

  #enqueue(connection: ClientConnection, apply: Message['apply']): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#inbox.push({connection, apply, resolve, reject});
      this.wake.next();
    });
  }

  #setSchema(cvr: Cvr, changes: ConfigChanges, schema: NonNullable<InitConnection['clientSchema']>): void {
    if (cvr.clientSchema) {
      if (canonicalJson(cvr.clientSchema) !== canonicalJson(schema))
        throw protocolError('InvalidConnectionRequest', 'Provided schema does not match previous schema');
      return;
    }
    checkClientSchema(schema, this.#deps.registry.tables);
    cvr.clientSchema = schema;
    changes.instance = true;
  }

  #delete(cvr: Cvr, changes: ConfigChanges, connection: ClientConnection, body: DeleteClients): void {
    const ids = body.clientIDs ?? [];
    if (ids.includes(connection.clientID))
      throw protocolError('InvalidMessage', 'A client cannot delete itself.');
    deleteClients(cvr, changes, ids, this.#ttlClock());
    // Unknown ids are acknowledged too: the client only wants to stop asking.
    if (ids.length) this.#announceDeleted = [...(this.#announceDeleted ?? []), ...ids];
  }

  #takeDeleted(): readonly string[] | null {
    const deleted = this.#announceDeleted;
    this.#announceDeleted = null;
    return deleted;
  }

  #ttlClock(): number {
    return this.#ttlAtLoadMs + (Date.now() - this.#loadedAtMs);
  }

  #ensureInternal(cvr: Cvr): void {
    for (const hash of INTERNAL_QUERIES)
      if (!cvr.queries.has(hash)) {
        const query: QueryRecord = {
          hash,
          ast: internalQuery(hash, this.#deps.shard, this.id),
          name: null,
          args: null,
          internal: true,
          patchVersion: null,
          transformationHash: null,
          transformationVersion: null,
          desires: new Map(),
        };
        cvr.queries.set(hash, query);
      }
  }

  /** Gives every wanted query its graph, and takes it from those whose time has run out. */
  async #syncQueries(cvr: Cvr): Promise<void> {
    const {registry, transform, log} = this.#deps;
    const now = this.#ttlClock();
    for (const query of [...cvr.queries.values()]) {
      const expiry = expiryMs(query);
      if (expiry === null || expiry > now) continue;
      cvr.queries.delete(query.hash);
      this.#failedQueries.delete(query.hash);
      this.#changes.queries.delete(query);
      this.#changes.removed.set(query.hash, query);
      this.#assign(query.hash, null);
    }
    const all = this.#stale;
    this.#stale = false;
    const keys = primaryKeysOf(cvr.clientSchema);
    for (const query of cvr.queries.values()) {
      if (!query.ast || this.#failedQueries.has(query.hash)) continue;
      if (!all && this.#rows.graphOf(query.hash)) continue;
      try {
        const ast = query.internal ? query.ast : transform(query.ast, this.#claims);
        const graph = await registry.acquire(ast, keys);
        if (this.ended) return void registry.release(graph);
        if (this.#rows.graphOf(query.hash) === graph) registry.release(graph);
        else this.#assign(query.hash, graph);
      } catch (error) {
        if (!(error instanceof DaemonError) || error.recovery !== 'reject' || query.internal) throw error;
        log.warn(
          {hash: query.hash, clientGroupID: this.id, code: error.code},
          `a query is refused: ${error.message}`,
        );
        this.#failQuery(query.hash, error.message);
      }
    }
  }

  #assign(hash: string, graph: QueryGraph | null): void {
    const old = this.#rows.assign(hash, graph);
    if (old && old !== graph) this.#deps.registry.release(old);
  }

  /** The query yields nothing any more; clients that want it learn why, everything else goes on. */
  #failQuery(hash: string, message: string): void {
    this.#failedQueries.set(hash, message);
    this.#assign(hash, null);
    const query = this.#cvr?.queries.get(hash);
    for (const clientID of query?.desires.keys() ?? [])
      this.#clients
        .get(clientID)
        ?.connection.send(['transformError', [{error: 'app', id: hash, name: query?.name ?? '', message}]]);
  }

  #isNews(query: QueryRecord): boolean {
    const graph = this.#rows.graphOf(query.hash);
    if (!graph) return false;
    return (
      (query.patchVersion === null && !query.internal) ||
      query.transformationHash !== transformationHash(graph.text)
    );
  }

  async #readCatchUps(cvr: Cvr): Promise<Prepared> {
    const prepared = new Map<string, CatchUp>();
    for (const {ready, version, connection} of this.#clients.values()) {
      if (!ready || connection.closed || version === null || compareVersions(version, cvr.version) >= 0)
        continue;
      const from = formatVersion(version);
      if (!prepared.has(from))
        prepared.set(from, await readCatchUp(this.#deps.pool, this.#deps.shard, this.id, version));
    }
    return prepared;
  }

  /** Frames for every client that can be told now. Clients at one version share theirs. */
  #pokes(old: CvrVersion, version: CvrVersion, body: PokeBody | null, prepared: Prepared): Folded['pokes'] {
    const frames = new Map<string, readonly string[] | null>();
    const pokes: {client: Client; frames: readonly string[]}[] = [];
    for (const client of this.#clients.values()) {
      if (!client.ready || client.connection.closed) continue;
      if (client.poked && client.connection.bufferedBytes > SLOW_CLIENT_BYTES) continue;
      if (client.poked && client.version && compareVersions(client.version, version) === 0) continue;
      const from = client.version === null ? '' : formatVersion(client.version);
      let shared = frames.get(from);
      if (shared === undefined) {
        shared = this.#framesFrom(client.version, old, version, body, prepared);
        frames.set(from, shared);
      }
      // Its history was not read in this cycle: the next one does.
      if (shared) pokes.push({client, frames: shared});
      else this.wake.next();
    }
    return pokes;
  }

  #framesFrom(
    from: CvrVersion | null,
    old: CvrVersion,
    version: CvrVersion,
    body: PokeBody | null,
    prepared: Prepared,
  ): readonly string[] | null {
    const cookie = formatVersion(version);
    const base = from && formatVersion(from);
    const fresh = from === null && compareVersions(old, EMPTY) > 0;
    if (fresh) return pokeFrames(base, cookie, this.#everything().parts());
    if (compareVersions(from ?? EMPTY, old) === 0) return pokeFrames(base, cookie, body?.parts() ?? []);
    const catchUp = base === null ? undefined : prepared.get(base);
    if (!catchUp) return null;
    const merged = new PokeBody(this.#deps.shard);
    for (const [clientID, ops] of Object.entries(catchUp.desired)) merged.desire(clientID, ops);
    merged.got.push(...catchUp.got);
    for (const {id} of catchUp.rows) {
      // Whatever the record said, the view is what counts now; what changed since comes with `body`.
      const row = this.#rows.get(id);
      if (row) merged.put(row);
      else merged.delete(id);
    }
    if (body) merged.append(body);
    return pokeFrames(base, cookie, merged.parts());
  }

  /** The whole view, for a client that holds nothing. */
  #everything(): PokeBody {
    const body = new PokeBody(this.#deps.shard);
    for (const query of this.#cvr!.queries.values()) {
      if (query.patchVersion !== null) body.got.push({op: 'put', hash: query.hash});
      for (const [clientID, desire] of query.desires)
        if (!desire.deleted) body.desire(clientID, [{op: 'put', hash: query.hash}]);
    }
    for (const row of this.#rows.all()) body.put(row);
    return body;
  }

  #planExpiry(): void {
    clearTimeout(this.#expiryTimer);
    if (this.#clients.size === 0 || !this.#cvr) return;
    let next = Number.POSITIVE_INFINITY;
    for (const query of this.#cvr.queries.values())
      next = Math.min(next, expiryMs(query) ?? Number.POSITIVE_INFINITY);
    if (next === Number.POSITIVE_INFINITY) return;
    const delay = Math.min(Math.max(next - this.#ttlClock(), 0) + 50, 600_000);
    this.#expiryTimer = setTimeout(() => this.wake.next(), delay).unref();
  }
}

/** @throws ProtocolError as protocol.md §4.3 says. */
const checkCookie = (client: CvrVersion | null, group: CvrVersion): void => {
  if (client === null || compareVersions(client, group) <= 0) return;
  if (compareVersions(group, EMPTY) === 0) throw protocolError('ClientNotFound', 'Client not found');
  throw protocolError('InvalidConnectionRequestBaseCookie', `CVR is at version ${formatVersion(group)}`);
};

/** Queries over the shard's own tables: mutation ids and results travel like rows (views.md §1.2). */
const internalQuery = (
  hash: (typeof INTERNAL_QUERIES)[number],
  shard: string,
  clientGroupID: string,
): AST => ({
  table: hash === 'lmids' ? `${shard}.clients` : `${shard}.mutations`,
  where: {
    type: 'simple',
    op: '=',
    left: {type: 'column', name: 'clientGroupID'},
    right: {type: 'literal', value: clientGroupID},
  },
  orderBy: [
    ['clientGroupID', 'asc'],
    ['clientID', 'asc'],
    ...(hash === 'lmids' ? [] : [['mutationID', 'asc'] as const]),
  ],
});

/** Never equal to the original's: the counts in `refCounts` mean something else, so each re-baselines the other's. */
const transformationHash = (text: string): string =>
  `zs-${createHash('sha1').update(text).digest('base64url')}`;

const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    part && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
