import type {GraphInspection} from '../observe/inspection.ts';
import {TimeDigest} from '../observe/time-digest.ts';
import type {Snapshot} from '../replica/snapshots.ts';
import type {TableSpec} from '../replica/table-spec.ts';
import type {AST} from '../zql/ast.ts';
import type {PrimaryKeys} from '../zql/plan.ts';
import {allNodes, type NodePlan, namesOneRow, planQuery} from '../zql/plan.ts';
import {type Choice, chooseAccess} from '../zql/planner.ts';
import {byTable, type RowChange} from './changes.ts';
import {describe} from './describe.ts';
import {createIndexText, type MissingIndex, missingIndexes} from './missing-index.ts';
import {NetRows} from './net-rows.ts';
import {
  buildNode,
  emptyDiff,
  type Level,
  type Node,
  type NodeDiff,
  nodesOf,
  replaceKey,
  type Touched,
} from './node.ts';
import {type NodeSql, ROOT_KEY} from './node-rows.ts';
import {exists} from './operators/exists.ts';
import {filter} from './operators/filter.ts';
import {applySharedShift, applyShift, type DemandShift, noShift, shiftDemand} from './operators/join.ts';
import {ReadAnew} from './operators/read-anew.ts';
import {source} from './operators/source.ts';
import {take, toEnd} from './operators/take.ts';
import {planLines, sorts} from './plan-lines.ts';
import type {PresentRow, QueryGraph, RowDiff} from './registry.ts';
import type {Routes} from './routes.ts';
import type {RowId} from './row-id.ts';
import type {SharedLevels} from './shared-levels.ts';
import {readStatistics} from './statistics.ts';

/** The changes of one step that were routed to a graph. */
export interface GraphStep {
  readonly changes: readonly RowChange[];
  readonly snapshot: Snapshot;
  readonly tables: ReadonlyMap<string, TableSpec>;
}

/** From where on reading anew is cheaper than looking at rows one by one (zql.md §3.9). */
export interface StepLimits {
  /** Rows of a level that a change of an EXISTS child may concern: beyond, the whole graph is read anew. */
  readonly parents: number;
  /** Touched rows of a limited root: beyond, its window is read anew. */
  readonly touched: number;
}

export const STEP_LIMITS: StepLimits = {parents: 5000, touched: 500};

export interface GraphInit {
  readonly id: string;
  readonly text: string;
  readonly ast: AST;
  readonly keys: PrimaryKeys;
  readonly routes: Routes<Graph>;
  /** Where joined graphs share what their children hold. */
  readonly levels: SharedLevels;
  /** Choose the ways of hydration from statistics, or leave it to SQLite. */
  readonly usePlanner: boolean;
  /** Count the rows that hydration looks at. */
  readonly countVisits?: boolean;
  readonly limits?: StepLimits | undefined;
}

/** A root of the graph with the way it is read: the query itself, and the companions of its scalar subqueries. */
interface Root {
  readonly node: Node;
  readonly choice: Choice;
}

/** Rows kept beyond the limit where replacing one means a new search: a share of the limit, within these. */
const LEAST_RESERVE = 10;
const MOST_RESERVE = 200;

/**
 * A query's operators with their state. Per step: source and exists find the touched rows bottom-up, then filter or take
 * at each level give its diff and join passes the keys down (zql.md §3). Each edge carries one batch per step.
 */
export class Graph implements QueryGraph {
  readonly id: string;
  readonly text: string;
  readonly ast: AST;
  references = 0;
  hydrationMs = 0;
  advances = 0;
  advanceMs = 0;
  readonly updateTimes = new TimeDigest();
  changesOut = 0;
  rowsTouched = 0;
  recomputed = 0;
  /** Rows that hydration looked at, by node index, if they are counted. */
  readonly visits: Map<number, number> | null;
  readonly #init: GraphInit;
  #roots: readonly Root[] = [];
  /** Only then do changes reach it. */
  #joined = false;
  #rows = new NetRows();

  /** Empty; `hydrate` fills it, `join` lets changes reach it. */
  constructor(init: GraphInit) {
    this.id = init.id;
    this.text = init.text;
    this.ast = init.ast;
    this.visits = init.countVisits ? new Map() : null;
    this.#init = init;
  }

  get size(): number {
    return this.#rows.size;
  }

  has(id: RowId): boolean {
    return this.#rows.has(id);
  }

  get(id: RowId): PresentRow | undefined {
    return this.#rows.get(id);
  }

  rows(): readonly PresentRow[] {
    return this.#rows.list();
  }

  rowSet(): string {
    return this.#rows.rowSet();
  }

  uses(table: string): boolean {
    return this.#roots.some(({node}) => [...allNodes(node.plan)].some(plan => plan.table.name === table));
  }

  /**
   * Reads the query's rows. Yields where it may be interrupted; the snapshot must stay until the end. The busy time is
   * the caller's to measure. @throws QueryError, or whatever SQLite says of a row (an unsafe integer, broken JSON).
   */
  *hydrate(tables: ReadonlyMap<string, TableSpec>, snapshot: Snapshot): Generator<void, void> {
    this.#leaveRoutes();
    this.#rows = new NetRows();
    this.#roots = this.#build(tables, snapshot);
    for (const {node} of this.#roots) {
      const diff = emptyDiff();
      const rows = yield* node.sql.ofRoot(snapshot, node.window?.capacity ?? node.plan.limit);
      node.window?.fill(rows);
      replaceKey(node, ROOT_KEY, node.window?.first() ?? rows, diff);
      yield* this.#descend(node, snapshot, diff);
    }
  }

  /** From now on changes are routed here, and the levels below the roots are those of all graphs. */
  join(): void {
    if (this.#joined) return;
    const {routes} = this.#init;
    this.#joined = true;
    for (const {node} of this.#roots) {
      this.#share(node);
      routes.add(this, node.plan);
      for (const {plan, demand} of nodesOf(node))
        if (plan.role === 'related') for (const key of demand.keys()) routes.openDemand(this, plan, key);
    }
  }

  /** One step to the version of `snapshot`. */
  advance(step: GraphStep): RowDiff[] {
    const started = performance.now();
    const changes = byTable(step.changes);
    this.rowsTouched += step.changes.length;
    try {
      for (const {node} of this.#roots) this.#advanceRoot(node, changes, step.snapshot);
    } catch (error) {
      if (!(error instanceof ReadAnew)) throw error;
      return this.recompute(step.tables, step.snapshot);
    }
    return this.#finish(started);
  }

  /** Reads the graph anew, where that is cheaper or safer than stepping: a truncated or altered table. */
  recompute(tables: ReadonlyMap<string, TableSpec>, snapshot: Snapshot): RowDiff[] {
    const started = performance.now();
    const old = this.#rows;
    this.recomputed++;
    toEnd(this.hydrate(tables, snapshot));
    this.join();
    this.#rows.replaceAll(old);
    return this.#finish(started);
  }

  /** Leaves the routes: no change reaches the graph any more. */
  close(): void {
    this.#leaveRoutes();
  }

  /** Indexes that would spare reading or sorting; the plans are those of `snapshot`. */
  missingIndexes(snapshot: Snapshot, tables: ReadonlyMap<string, TableSpec>): MissingIndex[] {
    const statistics = readStatistics(snapshot, tables);
    return this.#roots.flatMap(({node}) =>
      missingIndexes(node.plan, statistics, planLines(snapshot, node.sql.statement)),
    );
  }

  /** With plans and missing indexes if a snapshot to ask for them is given. */
  inspect(ask?: {
    readonly snapshot: Snapshot;
    readonly tables: ReadonlyMap<string, TableSpec>;
  }): GraphInspection {
    return {
      id: this.id,
      ast: this.ast,
      rows: this.size,
      subscribers: this.references,
      hydrationMs: this.hydrationMs,
      advances: this.advances,
      advanceMs: this.advanceMs,
      changesOut: this.changesOut,
      rowsTouched: this.rowsTouched,
      recomputed: this.recomputed,
      ways: this.#roots.flatMap(({choice}) => choice.ways),
      missingIndexes: ask ? this.missingIndexes(ask.snapshot, ask.tables).map(createIndexText) : [],
      operators: this.#roots.flatMap(({node}) => [...describe(node, ask?.snapshot ?? null, this.visits)]),
    };
  }

  #build(tables: ReadonlyMap<string, TableSpec>, snapshot: Snapshot): Root[] {
    const {root, companions} = planQuery(this.ast, tables, this.#init.keys);
    const statistics = readStatistics(snapshot, tables);
    return [root, ...companions].map(plan => {
      const choice = chooseAccess(plan, statistics, this.#init.usePlanner);
      const access = this.visits ? {...choice.access, counted: true} : choice.access;
      const node = buildNode(plan, access, sql => reserveOf(plan, sql, snapshot));
      node.demand.set(ROOT_KEY, 1);
      return {node, choice};
    });
  }

  #advanceRoot(root: Node, changes: ReadonlyMap<string, RowChange[]>, snapshot: Snapshot): void {
    const {limits = STEP_LIMITS} = this.#init;
    const touched = (node: Node, perNode: Map<Node, Touched>): Touched => {
      const rows = source(node, changes);
      exists(node, rows, changes, snapshot, perNode, limits.parents);
      return rows;
    };
    const walk = (node: Node, shift: DemandShift, rows: Touched, perNode: Map<Node, Touched>) => {
      const diff = emptyDiff();
      const skip = new Set([...shift.opened, ...shift.closed]);
      if (node.plan.limit === null) filter(node, rows, skip, snapshot, diff);
      else take(node, rows, skip, snapshot, diff, limits.touched);
      toEnd(applyShift(node, shift, snapshot, diff));
      this.#rows.add(diff, this.#joined);
      for (const [i, child] of node.emitted.entries()) {
        const childShift = this.#shift(child, i, diff);
        if (child.level) {
          this.#advanceShared(child, child.level, childShift, snapshot);
          continue;
        }
        const known = perNode.get(child);
        if (known) walk(child, childShift, known, perNode);
        else {
          const own = new Map<Node, Touched>();
          walk(child, childShift, touched(child, own), own);
        }
      }
    };
    const perNode = new Map<Node, Touched>();
    walk(root, noShift(), touched(root, perNode), perNode);
  }

  /** A step below the root of a joined graph. */
  #advanceShared(node: Node, level: Level, shift: DemandShift, snapshot: Snapshot): void {
    const diff = emptyDiff();
    try {
      // What is wrong there may be a row of another graph: read anew, only the graph that would show it fails.
      if (!level.isSound()) throw new ReadAnew();
      applySharedShift(node, level, shift, snapshot, diff);
    } catch (error) {
      this.#unshift(node, shift);
      throw error;
    }
    this.#rows.add(diff, this.#joined);
    for (const [i, child] of node.emitted.entries())
      this.#advanceShared(child, child.level!, this.#shift(child, i, diff), snapshot);
  }

  /** Emits a node's diff and reads what it demands below. */
  *#descend(node: Node, snapshot: Snapshot, diff: NodeDiff): Generator<void, void> {
    this.#rows.add(diff, this.#joined);
    for (const [i, child] of node.emitted.entries()) {
      yield;
      const childDiff = emptyDiff();
      const known = this.#init.levels.at(snapshot, child.plan);
      yield* applyShift(child, this.#shift(child, i, diff), snapshot, childDiff, known);
      yield* this.#descend(child, snapshot, childDiff);
    }
  }

  /** Hands the rows of the levels below over to those that all graphs share, and takes theirs where they are there. */
  #share(node: Node): void {
    for (const child of node.emitted) {
      const level = this.#init.levels.join(child);
      for (const key of child.demand.keys())
        for (const {row} of level.acquire(key, child.present.get(key) ?? new Map()).values())
          this.#rows.replace(row);
      child.level = level;
      child.present = new Map();
      this.#share(child);
    }
  }

  #unshare(node: Node): void {
    for (const child of node.emitted) {
      const {level} = child;
      if (!level) continue;
      for (const key of child.demand.keys()) level.release(key);
      this.#init.levels.leave(level);
      child.level = null;
      child.demand.clear();
      this.#unshare(child);
    }
  }

  #shift(child: Node, index: number, diff: NodeDiff): DemandShift {
    const shift = shiftDemand(child, index, diff);
    if (this.#joined && child.plan.role === 'related') {
      for (const key of shift.opened) this.#init.routes.openDemand(this, child.plan, key);
      for (const key of shift.closed) this.#init.routes.closeDemand(this, child.plan, key);
    }
    return shift;
  }

  /** Undoes a shift that its level did not follow, so that the keys demanded are those that the level counts. */
  #unshift(child: Node, {opened, closed}: DemandShift): void {
    const {routes} = this.#init;
    for (const key of opened) {
      child.demand.delete(key);
      if (child.plan.role === 'related') routes.closeDemand(this, child.plan, key);
    }
    for (const key of closed) {
      child.demand.set(key, 1);
      if (child.plan.role === 'related') routes.openDemand(this, child.plan, key);
    }
  }

  #finish(started: number): RowDiff[] {
    const diffs = this.#rows.takeDiffs();
    this.advances++;
    const ms = performance.now() - started;
    this.advanceMs += ms;
    this.updateTimes.add(ms);
    this.changesOut += diffs.length;
    return diffs;
  }

  #leaveRoutes(): void {
    if (!this.#joined) return;
    this.#joined = false;
    const {routes} = this.#init;
    for (const {node} of this.#roots) {
      routes.remove(this, node.plan);
      for (const {plan, demand} of nodesOf(node))
        if (plan.role === 'related') for (const key of demand.keys()) routes.closeDemand(this, plan, key);
      this.#unshare(node);
    }
  }
}

/** None where there is no next row, or where it is found by walking on. */
const reserveOf = (plan: NodePlan, sql: NodeSql, snapshot: Snapshot): number =>
  plan.limit && !namesOneRow(plan.where, plan.table) && sorts(planLines(snapshot, sql.statement))
    ? Math.min(MOST_RESERVE, Math.max(LEAST_RESERVE, plan.limit >> 1))
    : 0;
