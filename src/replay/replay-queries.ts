import {DaemonError} from '../errors.ts';
import {createQueryRegistry, type InspectableRegistry} from '../ivm/query-registry.ts';
import type {Epoch, PresentRow, QueryGraph} from '../ivm/registry.ts';
import {keyTextOfRowId, type RowId, tableOfRowId} from '../ivm/row-id.ts';
import {silentLog} from '../observe/log.ts';
import type {Version} from '../pg/lsn.ts';
import type {AST} from '../zql/ast.ts';
import type {PrimaryKeys} from '../zql/plan.ts';
import type {QueryScript} from './query-fixture.ts';
import type {QueryReplica} from './query-replica.ts';

/** A place where a maintained result is not what a fresh hydration gives. No expectation can make it right. */
export interface Disagreement {
  readonly words: string;
}

export interface QueriesReplayed {
  /** Of `expect.diffs.ndjson`. */
  readonly lines: readonly string[];
  readonly disagreement: Disagreement | null;
  readonly changes: number;
}

/**
 * Maintains the queries over the transactions in two registries: one advances as the script says, and its diffs are the
 * output; the other advances with each transaction. After each step both must hold what a new registry hydrates.
 */
export const replayQueries = async (
  file: string,
  replica: Pick<QueryReplica, 'transact'>,
  script: QueryScript,
): Promise<QueriesReplayed> => {
  const keys = Object.fromEntries(script.tables.map(table => [table.name, table.key]));
  const lines: string[] = [];
  let disagreement: Disagreement | null = null;
  let changes = 0;
  const scripted = await Follower.open(file, script.queries, keys);
  const stepping = await Follower.open(file, script.queries, keys);
  const check = async (when: string) => {
    const fresh = await Follower.open(file, script.queries, keys);
    try {
      for (const [follower, how] of [
        [stepping, 'advanced with each transaction'],
        [scripted, 'advanced as the fixture says'],
      ] as const)
        if (follower.version === fresh.version) disagreement ??= follower.compare(fresh, `${when}, ${how}`);
    } finally {
      fresh.close();
    }
  };
  try {
    lines.push(...scripted.hydrationLines());
    await check('hydration');
    let step = 0;
    for (const [n, {changes: rows, pause}] of script.transactions.entries()) {
      replica.transact(rows);
      changes += rows.length;
      await stepping.advance();
      if (!pause || n === script.transactions.length - 1) lines.push(...(await scripted.advance(++step)));
      await check(`transaction ${n + 1}`);
    }
    return {lines, disagreement, changes};
  } finally {
    scripted.close();
    stepping.close();
  }
};

/** Subscribers of a registry that believe its diffs alone. */
class Follower {
  readonly #registry: InspectableRegistry;
  readonly #graphs: readonly (QueryGraph | string)[];
  readonly #rows: readonly Map<RowId, PresentRow>[];

  private constructor(registry: InspectableRegistry, graphs: readonly (QueryGraph | string)[]) {
    this.#registry = registry;
    this.#graphs = graphs;
    this.#rows = graphs.map(
      graph => new Map(typeof graph === 'string' ? [] : graph.rows().map(row => [row.id, row])),
    );
  }

  static async open(file: string, queries: readonly AST[], keys: PrimaryKeys): Promise<Follower> {
    const registry = createQueryRegistry({
      replicaFile: file,
      appID: 'fixture',
      log: silentLog,
      slowHydrateMs: Number.POSITIVE_INFINITY,
      lingerRows: 0,
    });
    const graphs: (QueryGraph | string)[] = [];
    for (const ast of queries)
      graphs.push(await registry.acquire(ast, keys).catch((error: unknown) => codeOf(error)));
    return new Follower(registry, graphs);
  }

  get version(): Version {
    return this.#registry.version;
  }

  hydrationLines(): string[] {
    return [
      JSON.stringify({step: 0, version: this.version}),
      ...this.#graphs.flatMap((graph, query) =>
        typeof graph === 'string'
          ? [JSON.stringify({step: 0, query, error: graph})]
          : inOrder(graph.rows(), row => row.id).map(row => rowLine(0, query, 'add', row)),
      ),
    ];
  }

  /** To the head of the replica. @returns the lines of the step. */
  async advance(step = 0): Promise<string[]> {
    const epoch = this.#registry.advance();
    const lines = [JSON.stringify({step, version: this.version})];
    if (epoch) this.#graphs.forEach((graph, query) => lines.push(...this.#follow(epoch, graph, query, step)));
    return lines;
  }

  #follow({diffs, failed}: Epoch, graph: QueryGraph | string, query: number, step: number): string[] {
    const failure = failed.find(entry => entry.graph === graph);
    if (failure) return [JSON.stringify({step, query, error: codeOf(failure.error)})];
    const rows = this.#rows[query]!;
    const changes = diffs.find(diff => diff.graph === graph)?.changes ?? [];
    return inOrder(changes, change => (change.op === 'remove' ? change.id : change.row.id)).map(change => {
      if (change.op === 'remove') {
        rows.delete(change.id);
        return JSON.stringify({step, query, id: idText(change.id), op: 'remove'});
      }
      rows.set(change.row.id, change.row);
      return rowLine(step, query, change.op, change.row);
    });
  }

  compare(fresh: Follower, when: string): Disagreement | null {
    for (const [query, rows] of this.#rows.entries()) {
      if (typeof this.#graphs[query] === 'string') continue;
      const where = `${when}, query ${query}`;
      const wanted = fresh.#rows[query]!;
      for (const [id, row] of wanted) {
        const own = rows.get(id);
        if (!own) return {words: `${where}: row ${idText(id)} is missing, which a fresh hydration has`};
        if (own.put !== row.put || own.rowVersion !== row.rowVersion)
          return {
            words: `${where}: row ${idText(id)} differs from a fresh hydration: expected ${row.put} of version ${row.rowVersion}, got ${own.put} of version ${own.rowVersion}`,
          };
      }
      for (const id of rows.keys())
        if (!wanted.has(id))
          return {words: `${where}: row ${idText(id)} is too much, which a fresh hydration has not`};
    }
    return null;
  }

  close(): void {
    this.#registry.close();
  }
}

const codeOf = (error: unknown): string => {
  if (error instanceof DaemonError) return error.code;
  throw error;
};

const idText = (id: RowId): string => `${tableOfRowId(id)} ${keyTextOfRowId(id)}`;

const rowLine = (step: number, query: number, op: 'add' | 'edit', row: PresentRow): string =>
  `{"step":${step},"query":${query},"id":${JSON.stringify(idText(row.id))},"op":"${op}","version":"${row.rowVersion}","put":${row.put}}`;

const inOrder = <T>(items: readonly T[], keyOf: (item: T) => string): T[] =>
  [...items].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
