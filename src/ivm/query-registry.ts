import {DaemonError, QueryError} from '../errors.ts';
import {remembered} from '../flow/remembered.ts';
import type {GraphInspection} from '../observe/inspection.ts';
import type {Log} from '../observe/log.ts';
import {ident} from '../pg/identifier.ts';
import type {Version} from '../pg/lsn.ts';
import {readTableSpecs} from '../replica/read-schema.ts';
import {type Snapshot, Timeline} from '../replica/snapshots.ts';
import type {SqliteValue, TableSpec} from '../replica/table-spec.ts';
import type {AST} from '../zql/ast.ts';
import {canonicalText, tablesOf} from '../zql/canonical.ts';
import type {PrimaryKeys} from '../zql/plan.ts';
import {rowJson} from '../zql/wire-sql.ts';
import {type Changes, readChanges} from './changes.ts';
import {Graph, STEP_LIMITS, type StepLimits} from './graph.ts';
import {createIndexText} from './missing-index.ts';
import type {Epoch, GraphDiff, PresentRow, QueryGraph, QueryRegistry} from './registry.ts';
import {Routes} from './routes.ts';
import {type RowKey, rowId} from './row-id.ts';
import {SharedLevels} from './shared-levels.ts';

export interface RegistryOptions {
  readonly replicaFile: string;
  readonly appID: string;
  readonly log: Log;
  /** Hydrations slower than this many ms are logged. */
  readonly slowHydrateMs: number;
  /** Ms that hydrations may hold the loop at a time; 10 unless given. */
  readonly yieldMs?: number;
  /** Choose the ways of hydration from statistics (unless given), or leave it to SQLite. */
  readonly usePlanner?: boolean;
  /** Count the rows that hydrations look at, for the log of slow ones and for inspection. */
  readonly countVisits?: boolean;
  /** When a graph is read anew instead of stepped; for tests. */
  readonly limits?: StepLimits;
  /** Rows that graphs without subscribers may hold together before the oldest goes. */
  readonly lingerRows: number;
}

export type InspectableRegistry = QueryRegistry & {
  inspectGraphs(): GraphInspection[];
  /** Takes a new snapshot of the same version, so that the replica's WAL can restart. */
  refresh(): void;
  /** Forgets graphs without subscribers: whoever comes next hydrates. */
  dropIdle(): void;
};

/** What a server lets idle graphs hold (`RegistryOptions.lingerRows`). */
export const LINGER_ROWS = 50_000;

const YIELD_MS = 10;
/** Plans are asked for the most costly graphs only: an inspection must not hold the loop. */
const MOST_EXPLAINED = 100;

/** Opens the replica. @throws ReplicaUnusable, ReplicaUnwritable if it is not there. */
export const createQueryRegistry = (options: RegistryOptions): InspectableRegistry => new Registry(options);

class Registry implements InspectableRegistry {
  readonly #options: RegistryOptions;
  readonly #timeline: Timeline;
  readonly #routes = new Routes<Graph>();
  readonly #levels: SharedLevels;
  readonly #graphs = new Map<string, Graph>();
  /** Graphs on their way, so that those who ask together wait together. */
  readonly #hydrating = new Map<string, Promise<Graph>>();
  readonly #turns: Turns;
  /** Graphs without references, oldest first. */
  readonly #lingering = new Set<Graph>();
  readonly replicaVersion: Version;
  #tables: Map<string, TableSpec>;
  #permissions: {hash: string; json: string} | null | undefined;
  #nextId = 1;
  #closed = false;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#timeline = new Timeline(options.replicaFile);
    this.#turns = new Turns(options.yieldMs ?? YIELD_MS);
    const {current} = this.#timeline;
    this.#levels = new SharedLevels(current.version, (options.limits ?? STEP_LIMITS).parents);
    this.#tables = readTableSpecs(current.db);
    this.replicaVersion = current
      .prepare('SELECT replicaVersion FROM "_zero.replicationConfig"')
      .pluck()
      .get() as Version;
  }

  get version(): Version {
    return this.#timeline.current.version;
  }

  get tables(): ReadonlyMap<string, TableSpec> {
    return this.#tables;
  }

  get isHydrating(): boolean {
    return this.#hydrating.size > 0;
  }

  async acquire(ast: AST, keys: PrimaryKeys): Promise<QueryGraph> {
    const text = sharingText(ast)(keys);
    const graph = this.#graphs.get(text) ?? (await this.#hydrateOnce(text, ast, keys));
    graph.references++;
    this.#lingering.delete(graph);
    return graph;
  }

  release(graph: QueryGraph): void {
    const own = this.#graphs.get(graph.text);
    if (!own || own !== graph || --own.references > 0) return;
    this.#lingering.add(own);
    let rows = 0;
    for (const idle of this.#lingering) rows += idle.size;
    for (const idle of this.#lingering) {
      if (rows <= this.#options.lingerRows && this.#lingering.size <= 1000) break;
      rows -= idle.size;
      this.#drop(idle);
    }
  }

  dropIdle(): void {
    for (const idle of [...this.#lingering]) this.#drop(idle);
  }

  readRow(table: string, key: RowKey): PresentRow | undefined {
    const spec = this.#tables.get(table);
    const columns = Object.keys(key);
    if (!spec || columns.some(name => !spec.columns.some(column => column.name === name))) return undefined;
    const row = this.#timeline.current
      .prepare(
        `SELECT ${rowJson(spec, 't')}, t."_0_version" FROM ${ident(table)} t
         WHERE ${columns.map(name => `t.${ident(name)} = ?`).join(' AND ')}`,
      )
      .raw()
      .get(columns.map(name => stored(key[name]))) as [string, string | null] | undefined;
    if (!row) return undefined;
    const version = row[1] ?? '';
    return {
      id: rowId(table, key),
      table,
      rowVersion: version > spec.minRowVersion ? version : spec.minRowVersion,
      put: row[0],
    };
  }

  permissionsRow(): {readonly hash: string; readonly json: string} | null {
    if (this.#permissions === undefined) {
      const row = this.#timeline.current
        .prepare(`SELECT permissions AS json, hash FROM ${ident(`${this.#options.appID}.permissions`)}`)
        .raw(false)
        .get() as {json: string | null; hash: string | null} | undefined;
      this.#permissions = row?.json ? {json: row.json, hash: row.hash ?? ''} : null;
    }
    return this.#permissions;
  }

  refresh(): void {
    const {version} = this.#timeline.current;
    // At another version this is a step, which leaves the old snapshot anyway.
    if (this.#timeline.peek().version === version) this.#timeline.commit();
    else this.#timeline.abandon();
  }

  inspectGraphs(): GraphInspection[] {
    const graphs = [...this.#graphs.values()];
    const cost = ({hydrationMs, advanceMs}: Graph) => hydrationMs + advanceMs;
    const explained = new Set([...graphs].sort((a, b) => cost(b) - cost(a)).slice(0, MOST_EXPLAINED));
    const ask = {snapshot: this.#timeline.current, tables: this.#tables};
    return graphs.map(graph => graph.inspect(explained.has(graph) ? ask : undefined));
  }

  close(): void {
    this.#closed = true;
    this.#timeline.close();
  }

  advance(): Epoch | null {
    const previous = this.#timeline.current;
    const current = this.#timeline.peek();
    if (current.version <= previous.version) {
      this.#timeline.abandon();
      return null;
    }
    const permissions = `${this.#options.appID}.permissions`;
    const changes = readChanges(previous, current, previous.version, this.#tables, this.#routes);
    if (changes.schemaChanged) this.#tables = readTableSpecs(current.db);
    const diffs: GraphDiff[] = [];
    const failed: {graph: QueryGraph; error: Error}[] = [];
    this.#levels.begin(changes.rows, changes.wholeTables, current);
    for (const [graph, step] of this.#route(changes, current))
      try {
        const result = step();
        if (result.length) diffs.push({graph, changes: result});
      } catch (error) {
        this.#drop(graph);
        failed.push({graph, error: asQueryError(error)});
      }
    const from = previous.version;
    this.#levels.end();
    this.#timeline.commit();
    const permissionsChanged = changes.touchedTables.has(permissions);
    if (permissionsChanged) this.#permissions = undefined;
    return {
      from,
      to: current.version,
      diffs,
      failed,
      schemaChanged: changes.schemaChanged,
      permissionsChanged,
    };
  }

  /** The graphs that the changes concern, each with its step. */
  *#route(changes: Changes, snapshot: Snapshot): Generator<[Graph, () => GraphDiff['changes']]> {
    const routed = new Map<Graph, Changes['rows'][number][]>();
    for (const change of changes.rows)
      for (const graph of this.#routes.route(change)) {
        const list = routed.get(graph);
        if (list) list.push(change);
        else routed.set(graph, [change]);
      }
    const whole = new Set<Graph>();
    for (const graph of this.#graphs.values())
      for (const table of changes.wholeTables) if (graph.uses(table)) whole.add(graph);
    for (const graph of whole) yield [graph, () => graph.recompute(this.#tables, snapshot)];
    for (const [graph, rows] of routed)
      if (!whole.has(graph))
        yield [graph, () => graph.advance({changes: rows, snapshot, tables: this.#tables})];
  }

  #hydrateOnce(text: string, ast: AST, keys: PrimaryKeys): Promise<Graph> {
    let hydrating = this.#hydrating.get(text);
    if (!hydrating) {
      hydrating = this.#hydrate(text, ast, keys).finally(() => this.#hydrating.delete(text));
      this.#hydrating.set(text, hydrating);
    }
    return hydrating;
  }

  /**
   * Hydrates in slices on a snapshot of its own while the other graphs go on, then catches up with them in one step of
   * its own and joins.
   */
  async #hydrate(text: string, ast: AST, keys: PrimaryKeys): Promise<Graph> {
    const graph = new Graph({
      id: `g${this.#nextId++}`,
      text,
      ast,
      keys,
      routes: this.#routes,
      levels: this.#levels,
      usePlanner: this.#options.usePlanner ?? true,
      countVisits: this.#options.countVisits ?? false,
      limits: this.#options.limits,
    });
    await this.#turns.next();
    try {
      while (!(await this.#hydrateAt(graph))) graph.hydrationMs = 0;
    } catch (error) {
      throw asQueryError(error);
    }
    this.#graphs.set(text, graph);
    // Until it is acquired it counts as lingering: whoever waits for it takes it from there in the same turn.
    this.#lingering.add(graph);
    if (graph.hydrationMs > this.#options.slowHydrateMs) this.#warnOfSlow(graph);
    return graph;
  }

  /** @returns false if the tables changed meanwhile. */
  async #hydrateAt(graph: Graph): Promise<boolean> {
    const {snapshot, release} = this.#timeline.hold();
    const tables = this.#tables;
    const steps = graph.hydrate(tables, snapshot);
    const {yieldMs = YIELD_MS} = this.#options;
    try {
      for (;;) {
        const started = performance.now();
        let done: boolean;
        snapshot.visits = graph.visits;
        do done = steps.next().done === true;
        while (!done && performance.now() - started < yieldMs);
        snapshot.visits = null;
        graph.hydrationMs += performance.now() - started;
        if (done) break;
        await this.#turns.next();
        if (this.#closed) throw new QueryError('The worker is stopping.');
      }
      const {current} = this.#timeline;
      if (current.version > snapshot.version) {
        const changes = readChanges(snapshot, current, snapshot.version, this.#tables, {
          inTable: table => graph.uses(table),
          byKey: () => null,
        });
        if (changes.schemaChanged) return false;
        if ([...changes.wholeTables].some(table => graph.uses(table))) graph.recompute(this.#tables, current);
        else {
          graph.advance({changes: changes.rows, snapshot: current, tables: this.#tables});
          graph.join();
        }
      } else graph.join();
      return true;
    } finally {
      steps.return();
      release();
    }
  }

  #warnOfSlow(graph: Graph): void {
    const missing = graph.missingIndexes(this.#timeline.current, this.#tables).map(createIndexText);
    let rowsRead = 0;
    for (const n of graph.visits?.values() ?? []) rowsRead += n;
    this.#options.log.warn(
      {
        graph: graph.id,
        ms: Math.round(graph.hydrationMs),
        rows: graph.size,
        ...(graph.visits && {rowsRead, rowsReadByNode: Object.fromEntries(graph.visits)}),
        ...(missing.length && {missingIndexes: missing}),
        ast: graph.ast,
      },
      missing.length
        ? `slow query hydration; upstream this would help: ${missing.join('; ')}`
        : 'slow query hydration',
    );
  }

  #drop(graph: Graph): void {
    graph.close();
    this.#lingering.delete(graph);
    this.#graphs.delete(graph.text);
  }
}

/**
 * Slices of work, first come first served, in one turn of the loop only as much as fits: so sockets and advances come in
 * between, and many small hydrations do not wait for a turn each.
 */
class Turns {
  readonly #budgetMs: number;
  #last: Promise<void> = Promise.resolve();
  /** When the turn began; null: no turn has been taken since the loop went on. */
  #startedAt: number | null = null;

  constructor(budgetMs: number) {
    this.#budgetMs = budgetMs;
  }

  next(): Promise<void> {
    this.#last = this.#last.then(() => this.#take());
    return this.#last;
  }

  #take(): void | Promise<void> {
    const now = performance.now();
    if (this.#startedAt !== null && now - this.#startedAt < this.#budgetMs) return;
    return new Promise(resolve =>
      setImmediate(() => {
        this.#startedAt = performance.now();
        setImmediate(() => {
          this.#startedAt = null;
        });
        resolve();
      }),
    );
  }
}

/** What equal graphs have in common: the query, and the primary keys it uses. */
const sharingText = remembered((ast: AST) => {
  const query = canonicalText(ast);
  const tables = [...tablesOf(ast)].sort();
  return remembered((keys: PrimaryKeys) => {
    const used = Object.fromEntries(tables.map(table => [table, keys[table] ?? null]));
    return `${query}\n${JSON.stringify(used)}`;
  });
});

const stored = (value: unknown): SqliteValue =>
  typeof value === 'boolean' ? Number(value) : (value as SqliteValue);

const asQueryError = (error: unknown): Error => {
  if (error instanceof DaemonError) return error;
  const {message} = error as Error;
  return new QueryError(
    message.includes('Expression tree is too large') ? TOO_DEEP : `The query failed: ${message}`,
    {
      cause: error,
    },
  );
};

/** Each EXISTS is some 40 of the levels that SQLite takes; how many exactly depends on the conditions beside it. */
const TOO_DEEP =
  'The query nests EXISTS (or conditions) too deeply: SQLite takes expressions of 1,000 levels, which are about 20 EXISTS within each other.';
