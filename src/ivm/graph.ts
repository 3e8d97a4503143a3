import {createHash} from 'node:crypto';
import type {GraphInspection} from '../observe/inspection.ts';
import type {Snapshot} from '../replica/snapshots.ts';
import type {TableSpec} from '../replica/table-spec.ts';
import type {AST} from '../zql/ast.ts';
import {allNodes, planQuery} from '../zql/plan.ts';
import type {RowChange} from './changes.ts';
import {buildNode, emptyDiff, type Node, type NodeDiff, nodesOf, replaceKey, type Touched} from './node.ts';
import {ROOT_KEY} from './node-rows.ts';
import {exists} from './operators/exists.ts';
import {filter} from './operators/filter.ts';
import {applyShift, type DemandShift, noShift, shiftDemand} from './operators/join.ts';
import {source} from './operators/source.ts';
import {readWindow, take} from './operators/take.ts';
import type {PresentRow, PrimaryKeys, QueryGraph, RowDiff} from './registry.ts';
import type {Routes} from './routes.ts';
import type {RowId} from './row-id.ts';

/** The changes of one step that were routed to a graph. */
export interface GraphStep {
  readonly changes: readonly RowChange[];
  readonly snapshot: Snapshot;
}

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
  changesOut = 0;
  readonly #keys: PrimaryKeys;
  readonly #routes: Routes<Graph>;
  #root: Node;
  #rows = new Map<RowId, {row: PresentRow; count: number}>();
  #before = new Map<RowId, PresentRow | null>();
  #list: readonly PresentRow[] | null = null;
  #signature: string | null = null;

  /** Hydrates. @throws QueryError, or whatever SQLite says of a row (an unsafe integer, broken JSON). */
  constructor(
    init: {id: string; text: string; ast: AST; keys: PrimaryKeys; routes: Routes<Graph>},
    tables: ReadonlyMap<string, TableSpec>,
    snapshot: Snapshot,
  ) {
    this.id = init.id;
    this.text = init.text;
    this.ast = init.ast;
    this.#keys = init.keys;
    this.#routes = init.routes;
    this.#root = this.#build(tables);
    this.#hydrate(snapshot);
    this.#before.clear();
    this.#routes.add(this, this.#root.plan);
  }

  get size(): number {
    return this.#rows.size;
  }

  has(id: RowId): boolean {
    return this.#rows.has(id);
  }

  get(id: RowId): PresentRow | undefined {
    return this.#rows.get(id)?.row;
  }

  rows(): readonly PresentRow[] {
    this.#list ??= [...this.#rows.values()].map(({row}) => row);
    return this.#list;
  }

  signature(): string {
    if (this.#signature === null) {
      const sum = Buffer.alloc(16);
      for (const {row} of this.#rows.values()) {
        const digest = createHash('md5').update(row.id).update('\0').update(row.rowVersion).digest();
        for (let i = 0; i < sum.length; i++) sum[i]! ^= digest[i]!;
      }
      this.#signature = sum.toString('hex');
    }
    return this.#signature;
  }

  uses(table: string): boolean {
    return [...allNodes(this.#root.plan)].some(node => node.table.name === table);
  }

  /** One step to the version of `snapshot`. */
  advance({changes, snapshot}: GraphStep): RowDiff[] {
    const started = performance.now();
    const byTable = new Map<string, RowChange[]>();
    for (const change of changes) {
      const list = byTable.get(change.table);
      if (list) list.push(change);
      else byTable.set(change.table, [change]);
    }
    const touched = (node: Node, perNode: Map<Node, Touched>): Touched => {
      const rows = source(node, byTable);
      exists(node, rows, byTable, snapshot, perNode);
      return rows;
    };
    const walk = (node: Node, shift: DemandShift, rows: Touched, perNode: Map<Node, Touched>) => {
      const diff = emptyDiff();
      const skip = new Set([...shift.opened, ...shift.closed]);
      if (node.plan.limit === null) filter(node, rows, skip, snapshot, diff);
      else take(node, rows, skip, byTable.get(node.plan.table.name) ?? [], snapshot, diff);
      applyShift(node, shift, snapshot, diff);
      this.#emit(diff);
      for (const [i, child] of node.emitted.entries()) {
        const childShift = this.#shift(child, i, diff);
        const known = perNode.get(child);
        if (known) walk(child, childShift, known, perNode);
        else {
          const own = new Map<Node, Touched>();
          walk(child, childShift, touched(child, own), own);
        }
      }
    };
    const perNode = new Map<Node, Touched>();
    walk(this.#root, noShift(), touched(this.#root, perNode), perNode);
    return this.#finish(started);
  }

  /** Builds the graph anew, for what is cheaper or safer than stepping: a truncated or altered table. */
  recompute(tables: ReadonlyMap<string, TableSpec>, snapshot: Snapshot): RowDiff[] {
    const started = performance.now();
    const old = this.#rows;
    this.#leaveRoutes();
    this.#rows = new Map();
    this.#root = this.#build(tables);
    this.#hydrate(snapshot);
    this.#routes.add(this, this.#root.plan);
    this.#before = new Map();
    for (const id of this.#rows.keys()) this.#before.set(id, old.get(id)?.row ?? null);
    for (const [id, {row}] of old) this.#before.set(id, row);
    return this.#finish(started);
  }

  /** Leaves the routes: no change reaches the graph any more. */
  close(): void {
    this.#leaveRoutes();
  }

  inspect(): GraphInspection {
    const operators: GraphInspection['operators'][number][] = [];
    const describe = (node: Node, depth: number) => {
      const {plan} = node;
      let rows = 0;
      for (const present of node.present.values()) rows += present.size;
      const kind = plan.role === 'root' ? 'source' : plan.role === 'related' ? 'join' : 'exists';
      operators.push({
        depth,
        operator: `${kind} ${plan.table.name}`,
        rows,
        keys: node.demand.size,
        sql: node.sql.text,
      });
      if (plan.where) operators.push({depth: depth + 1, operator: 'filter', rows, keys: 0, sql: null});
      if (plan.limit !== null)
        operators.push({depth: depth + 1, operator: `take ${plan.limit}`, rows, keys: 0, sql: null});
      for (const child of new Set([...node.exists, ...node.emitted])) describe(child, depth + 1);
    };
    describe(this.#root, 0);
    return {
      id: this.id,
      ast: this.ast,
      rows: this.size,
      subscribers: this.references,
      hydrationMs: this.hydrationMs,
      advances: this.advances,
      advanceMs: this.advanceMs,
      changesOut: this.changesOut,
      operators,
    };
  }

  #build(tables: ReadonlyMap<string, TableSpec>): Node {
    const root = buildNode(planQuery(this.ast, tables, this.#keys));
    root.demand.set(ROOT_KEY, 1);
    return root;
  }

  #hydrate(snapshot: Snapshot): void {
    const started = performance.now();
    const diff = emptyDiff();
    if (this.#root.plan.limit === null)
      replaceKey(this.#root, ROOT_KEY, this.#root.sql.ofKeys(snapshot, [ROOT_KEY]).rows, diff);
    else readWindow(this.#root, snapshot, diff);
    const down = (node: Node, parentDiff: NodeDiff) => {
      this.#emit(parentDiff);
      for (const [i, child] of node.emitted.entries()) {
        const childDiff = emptyDiff();
        applyShift(child, this.#shift(child, i, parentDiff), snapshot, childDiff);
        down(child, childDiff);
      }
    };
    down(this.#root, diff);
    this.hydrationMs = performance.now() - started;
  }

  #shift(child: Node, index: number, diff: NodeDiff): DemandShift {
    const shift = shiftDemand(child, index, diff);
    if (child.plan.role === 'related') {
      for (const key of shift.opened) this.#routes.openDemand(this, child.plan, key);
      for (const key of shift.closed) this.#routes.closeDemand(this, child.plan, key);
    }
    return shift;
  }

  /** Nets a node's diff into the graph's rows: a row is present as long as any node holds it. */
  #emit(diff: NodeDiff): void {
    const remember = (id: RowId) => {
      if (!this.#before.has(id)) this.#before.set(id, this.#rows.get(id)?.row ?? null);
    };
    for (const {row} of diff.added) {
      remember(row.id);
      const entry = this.#rows.get(row.id);
      if (entry) {
        entry.count++;
        entry.row = row;
      } else this.#rows.set(row.id, {row, count: 1});
    }
    for (const {after} of diff.edited) {
      remember(after.row.id);
      const entry = this.#rows.get(after.row.id);
      if (entry) entry.row = after.row;
    }
    for (const {row} of diff.removed) {
      remember(row.id);
      const entry = this.#rows.get(row.id);
      if (entry && --entry.count === 0) this.#rows.delete(row.id);
    }
  }

  #finish(started: number): RowDiff[] {
    const diffs: RowDiff[] = [];
    for (const [id, before] of this.#before) {
      const after = this.#rows.get(id)?.row;
      if (after && !before) diffs.push({op: 'add', row: after});
      else if (after && before && (after.rowVersion !== before.rowVersion || after.put !== before.put))
        diffs.push({op: 'edit', row: after});
      else if (before && !after) diffs.push({op: 'remove', id, table: before.table});
    }
    this.#before.clear();
    if (diffs.length) {
      this.#list = null;
      this.#signature = null;
    }
    this.advances++;
    this.advanceMs += performance.now() - started;
    this.changesOut += diffs.length;
    return diffs;
  }

  #leaveRoutes(): void {
    this.#routes.remove(this, this.#root.plan);
    for (const node of nodesOf(this.#root))
      if (node.plan.role === 'related')
        for (const key of node.demand.keys()) this.#routes.closeDemand(this, node.plan, key);
  }
}
