import type {InspectableRegistry} from '../../src/ivm/query-registry.ts';
import type {Epoch, QueryGraph} from '../../src/ivm/registry.ts';
import {keyTextOfRowId} from '../../src/ivm/row-id.ts';
import type {AST} from '../../src/zql/ast.ts';
import {Naive} from '../oracle/naive.ts';
import {Follower, faultOf, Mirror, testRegistry} from '../oracle/run-case.ts';
import {type TestChange, TestReplica, type TestRow, type TestTable} from './test-replica.ts';

/** An issue tracker in small: nullable references, a junction with a compound key, numbers, text, a boolean and JSON. */
export const TRACKER: readonly TestTable[] = [
  {name: 'user', columns: {id: 'text', name: 'text?', org: 'text?'}, key: ['id'], indexes: [['org']]},
  {
    name: 'issue',
    columns: {
      id: 'text',
      n: 'int4',
      s: 'text?',
      r: 'int4?',
      b: 'bool?',
      owner: 'text?',
      parent: 'text?',
      j: 'jsonb?',
    },
    key: ['id'],
    indexes: [['owner'], ['n'], ['parent']],
  },
  {
    name: 'comment',
    columns: {id: 'text', issue: 'text?', author: 'text?', n: 'int4?', s: 'text?'},
    key: ['id'],
    indexes: [['issue']],
  },
  {name: 'tag', columns: {id: 'text', name: 'text'}, key: ['id']},
  {
    name: 'issue_tag',
    columns: {issue: 'text', tag: 'text', n: 'int4?'},
    key: ['issue', 'tag'],
    indexes: [['tag']],
  },
];

/** `set('issue', {…}, {…})`, `del('issue', 'i1', 'i2')`. */
export const set = (table: string, ...rows: TestRow[]): TestChange[] =>
  rows.map(row => ({op: 'set', table, row: {...DEFAULTS[table], ...row}}));
export const del = (table: string, ...ids: string[]): TestChange[] =>
  ids.map(id => ({op: 'delete', table, key: {id}}));
export const delKey = (table: string, key: TestRow): TestChange => ({op: 'delete', table, key});

const nulls = (table: TestTable): TestRow =>
  Object.fromEntries(Object.keys(table.columns).map(name => [name, null]));
const DEFAULTS: Readonly<Record<string, TestRow>> = Object.fromEntries(
  TRACKER.map(table => [table.name, {...nulls(table), ...(table.name === 'issue' && {n: 0})}]),
);

/** What a transaction did to one query, as `table:key`. */
export interface Told {
  readonly add: readonly string[];
  readonly edit: readonly string[];
  readonly remove: readonly string[];
}

/**
 * A replica with queries on it. After every transaction each query's rows must be what ZQL means by it, and what its
 * diffs said: a scenario asserts only what is special about it.
 */
export class Scenario implements Disposable {
  readonly replica: TestReplica;
  readonly registry: InspectableRegistry;
  readonly #mirror: Mirror;
  readonly #keys: Readonly<Record<string, readonly string[]>>;
  readonly #queries: {readonly ast: AST; readonly follower: Follower}[] = [];
  epoch: Epoch | null = null;

  constructor(rows: readonly TestChange[], tables: readonly TestTable[] = TRACKER) {
    this.replica = new TestReplica(tables);
    this.#mirror = new Mirror(this.replica.tables);
    this.#mirror.apply(rows, this.replica.transact(rows));
    this.#keys = Object.fromEntries(tables.map(table => [table.name, table.key]));
    this.registry = testRegistry(this.replica.file);
  }

  async query(ast: AST): Promise<QueryGraph> {
    const graph = await this.registry.acquire(ast, this.#keys);
    this.#queries.push({ast, follower: new Follower(graph)});
    this.check();
    return graph;
  }

  /** Writes without advancing. */
  write(...changes: (TestChange | readonly TestChange[])[]): void {
    const flat = changes.flat() as TestChange[];
    this.#mirror.apply(flat, this.replica.transact(flat));
  }

  /** One upstream transaction, advanced and checked. @returns what the first query was told. */
  transact(...changes: (TestChange | readonly TestChange[])[]): Told {
    this.write(...changes);
    return this.advance();
  }

  advance(): Told {
    this.epoch = this.registry.advance();
    for (const {follower} of this.#queries) if (this.epoch) follower.follow(this.epoch);
    this.check();
    return this.told(0);
  }

  /** What the last step told a query. */
  told(query: number): Told {
    const graph = this.#queries[query]?.follower.graph;
    const changes = this.epoch?.diffs.find(diff => diff.graph === graph)?.changes ?? [];
    const of = (op: string) =>
      changes
        .filter(change => change.op === op)
        .map(change => (change.op === 'remove' ? short(change.id) : short(change.row.id)))
        .sort();
    return {add: of('add'), edit: of('edit'), remove: of('remove')};
  }

  /** Keys of a query's rows of one table, sorted; single keys by their value. */
  ids(graph: QueryGraph, table: string): string[] {
    return graph
      .rows()
      .filter(row => row.table === table)
      .map(row => short(row.id).slice(table.length + 1))
      .sort();
  }

  check(): void {
    const naive = new Naive(this.#mirror.data, this.replica.tables);
    for (const {ast, follower} of this.#queries) {
      const wrong = faultOf(this.#mirror, naive, ast, follower);
      if (wrong) throw new Error(`${wrong} of ${JSON.stringify(ast)}`);
    }
  }

  [Symbol.dispose](): void {
    this.registry.close();
    this.replica[Symbol.dispose]();
  }
}

const short = (id: string): string => {
  const key = Object.values(JSON.parse(keyTextOfRowId(id)) as Record<string, unknown>);
  return `${id.slice(0, id.indexOf('\0'))}:${key.join('/')}`;
};
