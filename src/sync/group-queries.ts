import {createHash} from 'node:crypto';
import {isAuthFailure} from '../auth/auth-failure.ts';
import {isStorable} from '../cvr/storable.ts';
import {expiryMs} from '../cvr/ttl.ts';
import type {Cvr, QueryRecord} from '../cvr/types.ts';
import {DaemonError} from '../errors.ts';
import type {QueryGraph} from '../ivm/registry.ts';
import type {ErroredQuery} from '../protocol/down.ts';
import {ProtocolError} from '../protocol/error-body.ts';
import type {AST} from '../zql/ast.ts';
import {primaryKeysOf} from './client-schema.ts';
import type {GroupClients} from './group-clients.ts';
import type {GroupDeps} from './group-deps.ts';
import type {ConfigChanges} from './group-desires.ts';
import type {GroupRows} from './group-rows.ts';
import type {Transformed} from './transform-queries.ts';
import type {ClientConnection} from './types.ts';

/** Keeps the graphs of a group in step with the queries of its view record. */
export class GroupQueries {
  readonly #deps: GroupDeps;
  readonly #rows: GroupRows;
  readonly #clients: GroupClients;
  /** The connection whose credential counts for all: the newest that was taken in (views.md §6.2). */
  #credential: ClientConnection | null = null;
  #allStale = true;
  #inStep = false;
  readonly #failed = new WeakMap<QueryGraph, Error>();
  /** Graphs held for queries; one reference each. Those of `#rows` once a `sync` is through. */
  #graphs = new Map<string, QueryGraph>();
  #released = false;

  constructor(deps: GroupDeps, rows: GroupRows, clients: GroupClients) {
    this.#deps = deps;
    this.#rows = rows;
    this.#clients = clients;
  }

  graphOf(hash: string): QueryGraph | undefined {
    return this.#graphs.get(hash);
  }

  /** False if `sync` has something to do, apart from what runs out with time. */
  get inStep(): boolean {
    return this.#inStep;
  }

  /** Queries were put or given up. */
  changed(): void {
    this.#inStep = false;
  }

  /** Every query is transformed again, with the credential of this connection. */
  authenticate(connection: ClientConnection): void {
    this.#credential = connection;
    this.invalidate();
  }

  /** Permissions or tables changed: every query is transformed again. */
  invalidate(): void {
    this.#allStale = true;
    this.#inStep = false;
  }

  /** A graph can no longer be maintained: its queries are given up by the next `sync`. */
  fail(graph: QueryGraph, error: Error): void {
    this.#failed.set(graph, error);
    this.#inStep = false;
  }

  /** Digest of the rows of each query. */
  rowSets(): Record<string, string> {
    const sets: Record<string, string> = {};
    for (const [hash, graph] of this.#graphs) sets[hash] = graph.rowSet();
    return sets;
  }

  /** The queries whose rows are still the same as stored, of whatever contents; null if that is not so of every one. */
  unchangedSince(cvr: Cvr): ReadonlySet<string> | null {
    if (!cvr.rowSets || cvr.replicaVersion !== this.#deps.registry.replicaVersion) return null;
    const hashes = new Set(Object.keys(cvr.rowSets));
    for (const hash of hashes) {
      const graph = this.#graphs.get(hash);
      const known = cvr.queries.get(hash)?.transformationHash;
      if (!graph || known !== transformationHash(graph) || graph.rowSet() !== cvr.rowSets[hash]) return null;
    }
    return hashes;
  }

  release(): void {
    this.#released = true;
    for (const graph of this.#graphs.values()) this.#deps.registry.release(graph);
    this.#graphs.clear();
    this.#rows.close();
  }

  /**
   * Gives every wanted query its graph, and takes it from those that failed or whose time has run out.
   * @returns false if nobody could say what some of them mean: those that ran go on, others wait for the next call.
   */
  async sync(cvr: Cvr, changes: ConfigChanges, nowMs: number): Promise<boolean> {
    for (const query of [...cvr.queries.values()]) {
      const expiry = expiryMs(query);
      if (expiry !== null && expiry <= nowMs) this.#remove(cvr, changes, query);
    }
    const changed = !this.#inStep;
    this.#inStep = true;
    this.#giveUpFailed(cvr, changes);
    const all = this.#allStale;
    this.#allStale = false;
    const wanted = changed
      ? [...cvr.queries.values()].filter(({hash}) => all || !this.#graphs.has(hash))
      : [];
    for (const query of wanted)
      if (!isStorable(query)) this.#giveUp(cvr, changes, query, erroredQuery(query, UNSTORABLE));
    const kept = wanted.filter(({hash}) => cvr.queries.has(hash));
    const transformed = await this.#transform(kept.filter(({internal}) => !internal));
    for (const query of kept) {
      const result = query.internal && query.ast ? {ast: query.ast} : transformed?.get(query.hash);
      if (!result) continue;
      if ('error' in result) this.#giveUp(cvr, changes, query, result.error);
      else await this.#run(cvr, changes, query, result.ast);
      if (this.#released) return true;
    }
    // Meanwhile epochs went by.
    this.#giveUpFailed(cvr, changes);
    this.#rows.look(new Map(this.#graphs));
    return transformed !== null;
  }

  async #run(cvr: Cvr, changes: ConfigChanges, query: QueryRecord, ast: AST): Promise<void> {
    const {registry, log} = this.#deps;
    try {
      const graph = await registry.acquire(ast, primaryKeysOf(cvr.clientSchema));
      if (this.#released) return registry.release(graph);
      this.#hold(query.hash, graph);
      const got = query.patchVersion !== null || query.internal;
      if (!got || query.transformationHash !== transformationHash(graph)) changes.queries.add(query);
    } catch (error) {
      if (!(error instanceof DaemonError) || error.recovery !== 'reject' || query.internal) throw error;
      log.warn(
        {hash: query.hash, clientGroupID: cvr.clientGroupID, code: error.code},
        `a query is refused: ${error.message}`,
      );
      this.#giveUp(cvr, changes, query, erroredQuery(query, error.message));
    }
  }

  /** A connection whose credential is refused gets the error; then another's is tried. @returns null: nobody answered. */
  async #transform(queries: readonly QueryRecord[]): Promise<ReadonlyMap<string, Transformed> | null> {
    if (queries.length === 0) return new Map();
    for (;;) {
      const connection = this.credential();
      // Nobody is there to ask for: a graph that runs goes on, others come with the next connection.
      if (!connection) return null;
      try {
        return await this.#deps.transform(queries, connection);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        connection.fail(error);
        if (this.#credential === connection) this.#credential = null;
        // The app's server is down, not the user refused: others would learn the same, and what runs goes on.
        if (!isAuthFailure(error)) return null;
      }
    }
  }

  /** The connection whose credential counts for all; another one when it has gone. */
  credential(): ClientConnection | null {
    if (this.#credential && !this.#credential.closed) return this.#credential;
    for (const {ready, connection} of this.#clients.all())
      if (ready && !connection.closed) return (this.#credential = connection);
    return null;
  }

  /** What a graph held when it failed is not known: the rows are compared with the view record anew. */
  #giveUpFailed(cvr: Cvr, changes: ConfigChanges): void {
    for (const [hash, graph] of [...this.#graphs]) {
      const error = this.#failed.get(graph);
      const query = cvr.queries.get(hash);
      if (!error || !query) continue;
      this.#rows.unbase();
      this.#giveUp(cvr, changes, query, erroredQuery(query, error.message));
    }
  }

  /** The query is forgotten, so that a later put starts afresh; clients that want it learn why. */
  #giveUp(cvr: Cvr, changes: ConfigChanges, query: QueryRecord, error: ErroredQuery): void {
    this.#clients.tellErrored(query.desires.keys(), error);
    this.#remove(cvr, changes, query);
  }

  #remove(cvr: Cvr, changes: ConfigChanges, query: QueryRecord): void {
    cvr.queries.delete(query.hash);
    changes.queries.delete(query);
    changes.removed.set(query.hash, query);
    this.#hold(query.hash, null);
  }

  #hold(hash: string, graph: QueryGraph | null): void {
    const old = this.#graphs.get(hash);
    if (graph) this.#graphs.set(hash, graph);
    else this.#graphs.delete(hash);
    if (old) this.#deps.registry.release(old);
  }
}

const UNSTORABLE = 'The query holds a text with NUL, which PostgreSQL cannot hold.';

const erroredQuery = (query: QueryRecord, message: string): ErroredQuery => ({
  error: 'app',
  id: query.hash,
  name: query.name ?? '',
  message,
});

const hashes = new WeakMap<QueryGraph, string>();

/** Never equal to the original's: the counts in `refCounts` mean something else, so each re-baselines the other's. */
export const transformationHash = (graph: QueryGraph): string => {
  let hash = hashes.get(graph);
  if (!hash) hashes.set(graph, (hash = `zs-${createHash('sha1').update(graph.text).digest('base64url')}`));
  return hash;
};
