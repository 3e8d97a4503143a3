import {createQueryRegistry, type InspectableRegistry} from '../../src/ivm/query-registry.ts';
import type {Epoch, PresentRow, QueryGraph} from '../../src/ivm/registry.ts';
import {type RowKey, rowId} from '../../src/ivm/row-id.ts';
import {silentLog} from '../../src/observe/log.ts';
import type {Version} from '../../src/pg/lsn.ts';
import type {AST} from '../../src/zql/ast.ts';
import {type TestChange, TestReplica, type TestRow, type TestTable} from '../helpers/test-replica.ts';
import type {Case} from './genome.ts';
import {type Data, fault, Naive} from './naive.ts';

/** What the replica holds, kept apart from it: rows with the version that wrote them. */
export class Mirror {
  readonly #rows = new Map<string, Map<string, {row: TestRow; version: Version}>>();
  readonly #tables: ReadonlyMap<string, TestTable>;

  constructor(tables: ReadonlyMap<string, TestTable>) {
    this.#tables = tables;
    for (const name of tables.keys()) this.#rows.set(name, new Map());
  }

  apply(changes: readonly TestChange[], version: Version): void {
    for (const change of changes) {
      const rows = this.#rows.get(change.table)!;
      if (change.op === 'truncate') rows.clear();
      else if (change.op === 'delete') rows.delete(this.idOf(change.table, change.key));
      else {
        const nulls = Object.keys(this.#tables.get(change.table)!.columns).map(name => [name, null]);
        rows.set(this.idOf(change.table, change.row), {
          row: {...Object.fromEntries(nulls), ...change.row},
          version,
        });
      }
    }
  }

  idOf = (table: string, row: TestRow): string =>
    rowId(table, Object.fromEntries(this.#tables.get(table)!.key.map(name => [name, row[name]])) as RowKey);

  get data(): Data {
    return new Map([...this.#rows].map(([table, rows]) => [table, [...rows.values()].map(({row}) => row)]));
  }

  at(table: string, id: string): {row: TestRow; version: Version} | undefined {
    return this.#rows.get(table)!.get(id);
  }
}

/** A subscriber that believes diffs alone. */
export class Follower {
  readonly rows = new Map<string, PresentRow>();

  constructor(readonly graph: QueryGraph) {
    for (const row of graph.rows()) this.rows.set(row.id, row);
  }

  follow({diffs, failed}: Epoch): void {
    for (const {graph, error} of failed) if (graph === this.graph) throw error;
    for (const {graph, changes} of diffs) {
      if (graph !== this.graph) continue;
      for (const change of changes)
        if (change.op === 'remove') {
          if (!this.rows.delete(change.id)) throw new Error(`removed what was not there: ${change.id}`);
        } else {
          if (this.rows.has(change.row.id) !== (change.op === 'edit'))
            throw new Error(
              `${change.op} of ${change.row.id}, which was ${change.op === 'add' ? '' : 'not '}there`,
            );
          this.rows.set(change.row.id, change.row);
        }
    }
  }
}

export const testRegistry = (
  file: string,
  options: Partial<Parameters<typeof createQueryRegistry>[0]> = {},
): InspectableRegistry =>
  createQueryRegistry({
    replicaFile: file,
    appID: 'app',
    log: silentLog,
    slowHydrateMs: 1e9,
    lingerRows: 0,
    ...options,
  });

const turn = () => new Promise(resolve => setImmediate(resolve));

/**
 * Runs a case on four registries: one that advances with each transaction, one that coalesces, plans nothing and
 * rather reads anew than look at single rows, one that
 * hydrates while the transactions come in, interrupted wherever it can be, and a new one per version.
 * @throws if any of them differs from what ZQL means, or from what its diffs said.
 */
export const runCase = async (test: Case): Promise<void> => {
  using replica = new TestReplica(test.tables);
  const mirror = new Mirror(replica.tables);
  mirror.apply(test.rows, replica.transact(test.rows));
  const keys = Object.fromEntries(test.tables.map(table => [table.name, table.key]));
  const naive = () => new Naive(mirror.data, replica.tables);
  const registries = [
    testRegistry(replica.file),
    testRegistry(replica.file, {usePlanner: false, limits: {parents: 0, touched: 0}}),
    testRegistry(replica.file, {yieldMs: 0}),
  ] as const;
  const open = async (registry: InspectableRegistry, followers: Follower[] = []) => {
    await Promise.all(
      test.queries.map(async (ast, i) => {
        followers[i] = new Follower(await registry.acquire(ast, keys));
      }),
    );
    return followers;
  };
  const check = (followers: readonly Follower[], when: string) => {
    const oracle = naive();
    followers.forEach((follower, i) => {
      const wrong = faultOf(mirror, oracle, test.queries[i]!, follower);
      if (wrong) throw new Error(`${when}, query ${i}: ${wrong}`);
    });
  };
  try {
    const [stepping, coalescing] = [await open(registries[0]), await open(registries[1])];
    check(stepping, 'hydrated');
    const advance = (registry: InspectableRegistry, followers: readonly Follower[]) => {
      const epoch = registry.advance();
      // While hydrations are on their way the list has holes.
      if (epoch) for (const follower of followers) follower?.follow(epoch);
    };
    const hydrateDuring = async (n: number, transact: () => void) => {
      const followers: Follower[] = [];
      const opened = open(registries[2], followers);
      opened.catch(() => {});
      for (let i = 0; i < n; i++) await turn();
      transact();
      advance(registries[2], followers);
      await opened;
      check(followers, 'hydrated during a transaction');
      for (const {graph} of followers) registries[2].release(graph);
    };
    for (const [n, {changes, pause}] of test.transactions.entries()) {
      await hydrateDuring((changes.length * 7 + n) % 9, () =>
        mirror.apply(changes, replica.transact(changes)),
      );
      advance(registries[0], stepping);
      check(stepping, `after transaction ${n}`);
      // One leaves and comes back: what it shares with others stays as it is.
      const at = n % stepping.length;
      registries[0].release(stepping[at]!.graph);
      stepping[at] = new Follower(await registries[0].acquire(test.queries[at]!, keys));
      check(stepping, `after transaction ${n}, query ${at} opened again`);
      if (!pause || n === test.transactions.length - 1) {
        advance(registries[1], coalescing);
        check(coalescing, `after transaction ${n}, coalesced`);
      }
      const fresh = testRegistry(replica.file);
      try {
        check(await open(fresh), `hydrated after transaction ${n}`);
      } finally {
        fresh.close();
      }
    }
  } finally {
    for (const registry of registries) registry.close();
  }
};

/** What is wrong with a graph or with what its diffs told; null if nothing is. */
export const faultOf = (mirror: Mirror, naive: Naive, ast: AST, {graph, rows}: Follower): string | null =>
  wrongRows(mirror, graph, rows) ?? fault(ast, naive, mirror.idOf, new Set(rows.keys()));

/** Followed rows against the graph's own and against the data: the same rows, of the right content and version. */
const wrongRows = (
  mirror: Mirror,
  graph: QueryGraph,
  followed: ReadonlyMap<string, PresentRow>,
): string | null => {
  if (graph.size !== followed.size)
    return `the graph holds ${graph.size} rows, its diffs give ${followed.size}`;
  for (const [id, row] of followed) {
    const own = graph.get(id);
    if (own?.put !== row.put || own.rowVersion !== row.rowVersion)
      return `the graph's row differs from what its diffs said: ${id}`;
    const stored = mirror.at(row.table, id);
    if (!stored) return `deleted upstream: ${id}`;
    if (stored.version !== row.rowVersion)
      return `of version ${row.rowVersion}, not ${stored.version}: ${id}`;
    if (canonical(JSON.parse(row.put)) !== canonical(stored.row))
      return `${row.put} is not ${canonical(stored.row)}`;
  }
  return null;
};

const canonical = (row: TestRow): string =>
  JSON.stringify(
    Object.entries(row)
      // Infinities would be null.
      .map(([name, value]) => [name, typeof value === 'number' ? String(value) : value] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
