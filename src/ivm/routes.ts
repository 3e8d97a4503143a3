import type {SqliteValue} from '../replica/table-spec.ts';
import {constantKey} from '../zql/constant-keys.ts';
import {allNodes, type NodePlan} from '../zql/plan.ts';
import type {StoredRow} from '../zql/predicate.ts';
import {rangeKey} from '../zql/range-key.ts';
import {Bag} from './bag.ts';
import {type Interest, type RowChange, storedTuple} from './changes.ts';
import {Ranges} from './ranges.ts';

interface TableRoutes<T> {
  /** By a column and the constant that a row must hold there. */
  readonly constants: Map<string, Map<SqliteValue, Bag<T>>>;
  /** By a column and the bounds of the number that a row must hold there. */
  readonly ranges: Map<string, Ranges<T>>;
  /** By a correlation and the keys that present parents demand. */
  readonly demands: Map<string, {readonly columns: readonly string[]; readonly keys: Map<string, Bag<T>>}>;
  /** Nodes that any row may concern. */
  readonly rest: Bag<T>;
}

/**
 * Finds the graphs that a changed row may concern: a hash probe per constant column and per correlation of its table, a
 * search per column with bounds, however many graphs there are (zql.md §3.10).
 */
export class Routes<T> implements Interest {
  readonly #tables = new Map<string, TableRoutes<T>>();

  add(owner: T, root: NodePlan): void {
    for (const node of routedNodes(root)) {
      const table = this.#table(node.table.name);
      const constant = constantKey(node.where);
      if (!constant) {
        const range = rangeKey(node.where, node.table);
        if (!range) {
          table.rest.add(owner);
          continue;
        }
        let ranges = table.ranges.get(range.column);
        if (!ranges) table.ranges.set(range.column, (ranges = new Ranges()));
        ranges.add(range, owner);
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
      if (!constant) {
        const range = rangeKey(node.where, node.table);
        if (!range) {
          table.rest.delete(owner);
          continue;
        }
        const ranges = table.ranges.get(range.column);
        ranges?.delete(range, owner);
        if (ranges?.empty) table.ranges.delete(range.column);
      } else {
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

  inTable(table: string): boolean {
    const routes = this.#tables.get(table);
    if (!routes) return false;
    const {constants, ranges, demands, rest} = routes;
    return constants.size > 0 || ranges.size > 0 || demands.size > 0 || !rest.empty;
  }

  /** Where all that graphs ask of a table is found in the key of a row, before and after a change alike. */
  byKey(table: string, columns: readonly string[]): ((key: StoredRow) => boolean) | null {
    const routes = this.#tables.get(table);
    if (!routes) return () => false;
    const {constants, ranges, demands, rest} = routes;
    const tells =
      rest.empty &&
      [...constants.keys(), ...ranges.keys()].every(column => columns.includes(column)) &&
      [...demands.values()].every(demand => demand.columns.every(column => columns.includes(column)));
    if (!tells) return null;
    return key => {
      for (const [column, byValue] of constants) if (byValue.has(key[column] ?? null)) return true;
      for (const [column, inRange] of ranges) if (inRange.has(numberOf(key[column]!))) return true;
      for (const demand of demands.values()) {
        const tuple = storedTuple(key, demand.columns);
        if (tuple !== null && demand.keys.has(tuple)) return true;
      }
      return false;
    };
  }

  route(change: RowChange): Set<T> {
    const found = new Set<T>();
    const routes = this.#tables.get(change.table);
    if (!routes) return found;
    routes.rest.collect(found);
    for (const row of [change.old, change.new]) {
      if (!row) continue;
      for (const [column, byValue] of routes.constants) byValue.get(row[column] ?? null)?.collect(found);
      for (const [column, ranges] of routes.ranges) {
        const value = row[column] ?? null;
        if (value !== null) ranges.collect(numberOf(value), found);
      }
      for (const {columns, keys} of routes.demands.values()) {
        const key = storedTuple(row, columns);
        if (key !== null) keys.get(key)?.collect(found);
      }
    }
    return found;
  }

  #table(name: string): TableRoutes<T> {
    let table = this.#tables.get(name);
    if (!table)
      this.#tables.set(
        name,
        (table = {constants: new Map(), ranges: new Map(), demands: new Map(), rest: new Bag()}),
      );
    return table;
  }
}

const numberOf = (value: SqliteValue): number => (typeof value === 'string' ? Number.NaN : Number(value));

/** Related nodes are found by the keys demanded of them; roots and EXISTS nodes by what their condition says. */
const routedNodes = function* (root: NodePlan): Generator<NodePlan> {
  for (const node of allNodes(root)) if (node.role !== 'related') yield node;
};
