import type {SqliteValue} from '../replica/table-spec.ts';
import {constantKey} from '../zql/constant-keys.ts';
import {allNodes, type NodePlan} from '../zql/plan.ts';
import {type RowChange, storedTuple} from './changes.ts';

/** Counts references, so that several nodes of one owner may share an entry. */
class Bag<T> {
  readonly #counts = new Map<T, number>();

  add(item: T): void {
    this.#counts.set(item, (this.#counts.get(item) ?? 0) + 1);
  }

  /** True if the bag is now empty. */
  delete(item: T): boolean {
    const count = this.#counts.get(item) ?? 0;
    if (count > 1) this.#counts.set(item, count - 1);
    else this.#counts.delete(item);
    return this.#counts.size === 0;
  }

  collect(into: Set<T>): void {
    for (const item of this.#counts.keys()) into.add(item);
  }

  get empty(): boolean {
    return this.#counts.size === 0;
  }
}

interface TableRoutes<T> {
  /** By a column and the constant that a row must hold there. */
  readonly constants: Map<string, Map<SqliteValue, Bag<T>>>;
  /** By a correlation and the keys that present parents demand. */
  readonly demands: Map<string, {readonly columns: readonly string[]; readonly keys: Map<string, Bag<T>>}>;
  /** Nodes that any row may concern. */
  readonly rest: Bag<T>;
}

/**
 * Finds the graphs that a changed row may concern: a hash probe per constant column and per correlation of its table,
 * however many graphs there are (zql.md §3.10).
 */
export class Routes<T> {
  readonly #tables = new Map<string, TableRoutes<T>>();

  add(owner: T, root: NodePlan): void {
    for (const node of routedNodes(root)) {
      const table = this.#table(node.table.name);
      const constant = constantKey(node.where);
      if (!constant) {
        table.rest.add(owner);
        continue;
      }
      let byValue = table.constants.get(constant.column);
      if (!byValue) table.constants.set(constant.column, (byValue = new Map()));
      for (const value of constant.values) {
        let bag = byValue.get(value);
        if (!bag) byValue.set(value, (bag = new Bag()));
        bag.add(owner);
      }
    }
  }

  remove(owner: T, root: NodePlan): void {
    for (const node of routedNodes(root)) {
      const table = this.#table(node.table.name);
      const constant = constantKey(node.where);
      if (!constant) table.rest.delete(owner);
      else {
        const byValue = table.constants.get(constant.column);
        for (const value of constant.values) if (byValue?.get(value)?.delete(owner)) byValue.delete(value);
        if (byValue?.size === 0) table.constants.delete(constant.column);
      }
    }
  }

  openDemand(owner: T, node: NodePlan, key: string): void {
    const {demands} = this.#table(node.table.name);
    const name = node.childField.join('\0');
    let demand = demands.get(name);
    if (!demand) demands.set(name, (demand = {columns: node.childField, keys: new Map()}));
    let bag = demand.keys.get(key);
    if (!bag) demand.keys.set(key, (bag = new Bag()));
    bag.add(owner);
  }

  closeDemand(owner: T, node: NodePlan, key: string): void {
    const {demands} = this.#table(node.table.name);
    const name = node.childField.join('\0');
    const keys = demands.get(name)?.keys;
    if (keys?.get(key)?.delete(owner)) keys.delete(key);
    if (keys?.size === 0) demands.delete(name);
  }

  concerns(table: string): boolean {
    const routes = this.#tables.get(table);
    return (
      routes !== undefined && (routes.constants.size > 0 || routes.demands.size > 0 || !routes.rest.empty)
    );
  }

  route(change: RowChange): Set<T> {
    const found = new Set<T>();
    const routes = this.#tables.get(change.table);
    if (!routes) return found;
    routes.rest.collect(found);
    for (const row of [change.old, change.new]) {
      if (!row) continue;
      for (const [column, byValue] of routes.constants) byValue.get(row[column] ?? null)?.collect(found);
      for (const {columns, keys} of routes.demands.values()) {
        const key = storedTuple(row, columns);
        if (key !== null) keys.get(key)?.collect(found);
      }
    }
    return found;
  }

  #table(name: string): TableRoutes<T> {
    let table = this.#tables.get(name);
    if (!table) this.#tables.set(name, (table = {constants: new Map(), demands: new Map(), rest: new Bag()}));
    return table;
  }
}

/** Related nodes are found by the keys demanded of them; roots and EXISTS nodes by what their condition says. */
const routedNodes = function* (root: NodePlan): Generator<NodePlan> {
  for (const node of allNodes(root)) if (node.role !== 'related') yield node;
};
