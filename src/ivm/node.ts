import {type Access, PROBE} from '../zql/compile-condition.ts';
import {emittedChildren, type NodePlan} from '../zql/plan.ts';
import {compileSuperset, decisiveColumns, type Predicate} from '../zql/predicate.ts';
import type {RowChange} from './changes.ts';
import {type NodeRow, NodeSql} from './node-rows.ts';
import type {RowId} from './row-id.ts';
import {Window} from './window.ts';

/** One level of a query graph with its state. */
export interface Node {
  readonly plan: NodePlan;
  readonly sql: NodeSql;
  /** False only for rows that cannot match, whatever its EXISTS say. */
  readonly mayMatch: Predicate;
  /** Columns of the identity that may hold integers which JS would round. */
  readonly roundedKey: readonly string[];
  /** Does a change leave alone whether and where the row matches? */
  readonly isSteady: (change: RowChange) => boolean;
  readonly exists: readonly Node[];
  /** Children whose rows are synced, in the order of `NodeRow.childKeys`. */
  readonly emitted: readonly Node[];
  /** Present rows by correlation key; empty where a shared level holds them. */
  present: Map<string, Map<RowId, NodeRow>>;
  /** Below the root of a joined graph: who holds the rows, for all graphs with the same child. */
  level: Level | null;
  /** Rows present at the parent by the key they demand here; at the root always one. */
  readonly demand: Map<string, number>;
  /** Of a limited root. */
  readonly window: Window | null;
}

/** Rows of one key of a node. */
export type KeyRows = ReadonlyMap<RowId, NodeRow>;

/** Holds the rows of a child below the roots, for all graphs that have the same. */
export interface Level {
  readonly plan: NodePlan;
  /** Places in graphs that hold keys here. */
  owners: number;
  /** False where the present step cannot be evaluated: then nobody joins. */
  isSound(): boolean;
  /** Rows of a key; undefined if no graph demands it. */
  rowsOf(key: string): KeyRows | undefined;
  /** The same as it was before the present step. */
  rowsBefore(key: string): KeyRows;
  /** One more graph demands the key; `rows` tells what it holds and is used if it is the first. @returns what it holds. */
  acquire(key: string, rows: KeyRows): KeyRows;
  release(key: string): void;
  /**
   * What the present step changes, by key: computed for the first graph that asks. @throws what SQLite says of a row; the
   * level is then left as it was, and no graph can join it. Keys that no touched row has are as they should be even so.
   */
  advance(): ReadonlyMap<string, NodeDiff>;
}

/** Rows of a node that may have come, gone or changed: identity tuple → correlation keys they had or have. */
export type Touched = Map<string, Set<string>>;

/** What one node emits for one version: at most one entry per row and key. */
export interface NodeDiff {
  readonly added: NodeRow[];
  readonly removed: NodeRow[];
  readonly edited: {readonly before: NodeRow; readonly after: NodeRow}[];
}

export const emptyDiff = (): NodeDiff => ({added: [], removed: [], edited: []});

export const touch = (touched: Touched, identity: string, key: string | null): void => {
  let keys = touched.get(identity);
  if (!keys) touched.set(identity, (keys = new Set()));
  if (key !== null) keys.add(key);
};

export const keysOf = (touched: Touched): Set<string> => {
  const keys = new Set<string>();
  for (const some of touched.values()) for (const key of some) keys.add(key);
  return keys;
};

/** Builds the nodes of a plan, empty; `reserveOf` tells how many rows a window keeps beyond its limit. @throws QueryError if a condition does not fit its columns. */
export const buildNode = (
  plan: NodePlan,
  access?: Access,
  reserveOf: (sql: NodeSql) => number = () => 0,
): Node => {
  const built = new Map<NodePlan, Node>();
  // Below the root every EXISTS is probed by key.
  const below: Access = access?.counted ? {...PROBE, counted: true} : PROBE;
  const build = (child: NodePlan): Node => {
    const node = buildNode(child, below);
    built.set(child, node);
    return node;
  };
  const exists = plan.exists.map(build);
  for (const child of plan.related) build(child);
  const sql = new NodeSql(plan, access);
  return {
    plan,
    sql,
    mayMatch: compileSuperset(plan.where, plan.table),
    roundedKey: plan.emitted
      ? plan.key.filter(name => plan.table.columns.some(c => c.name === name && c.upstreamType === 'int8'))
      : [],
    isSteady: steady(decisiveColumns(plan)),
    exists,
    emitted: emittedChildren(plan).map(child => built.get(child)!),
    present: new Map(),
    level: null,
    demand: new Map(),
    window: plan.role === 'root' && plan.limit !== null ? new Window(plan, reserveOf(sql)) : null,
  };
};

const steady =
  (columns: readonly string[]) =>
  ({old, new: now}: RowChange): boolean =>
    old !== null && now !== null && columns.every(name => old[name] === now[name]);

export function* nodesOf(node: Node): Generator<Node> {
  yield node;
  for (const child of new Set([...node.exists, ...node.emitted])) yield* nodesOf(child);
}

/** Compares what a key holds with what it should hold, and makes it so. */
export const replaceKey = (node: Node, key: string, rows: readonly NodeRow[], diff: NodeDiff): void => {
  const before = node.present.get(key);
  const after = new Map<RowId, NodeRow>();
  for (const row of rows) {
    after.set(row.row.id, row);
    const old = before?.get(row.row.id);
    if (!old) diff.added.push(row);
    else if (old.row.rowVersion !== row.row.rowVersion || old.row.put !== row.row.put)
      diff.edited.push({before: old, after: row});
  }
  if (before) for (const [id, old] of before) if (!after.has(id)) diff.removed.push(old);
  if (after.size) node.present.set(key, after);
  else node.present.delete(key);
};
