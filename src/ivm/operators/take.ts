import type {Snapshot} from '../../replica/snapshots.ts';
import {compareValues} from '../../zql/compare.ts';
import type {StoredRow} from '../../zql/predicate.ts';
import type {RowChange} from '../changes.ts';
import {type Node, type NodeDiff, replaceKey, type Touched} from '../node.ts';
import {type NodeRow, ROOT_KEY} from '../node-rows.ts';
import {keysOf} from './exists.ts';

/**
 * Take: windows (and witness sets) of the keys that touched rows concern are read anew and compared; a window is exactly
 * the first rows in order (zql.md §3.5, §3.9). A root window is left alone when every change lies beyond its bound.
 */
export const take = (
  node: Node,
  touched: Touched,
  skip: ReadonlySet<string>,
  changes: readonly RowChange[],
  snapshot: Snapshot,
  diff: NodeDiff,
): void => {
  if (node.plan.role === 'root') {
    if (touched.size === 0 || beyondBound(node, touched, changes)) return;
    readWindow(node, snapshot, diff);
    return;
  }
  const keys = [...keysOf(touched)].filter(key => node.demand.has(key) && !skip.has(key));
  if (keys.length === 0) return;
  const rows = groupByKey(node.sql.ofKeys(snapshot, keys).rows);
  for (const key of keys) replaceKey(node, key, rows.get(key) ?? [], diff);
};

/** Reads the root's rows and remembers the bound of a full window. */
export const readWindow = (node: Node, snapshot: Snapshot, diff: NodeDiff): void => {
  const {rows, bound} = node.sql.ofKeys(snapshot, [ROOT_KEY]);
  node.bound = rows.length === node.plan.limit ? bound : null;
  replaceKey(node, ROOT_KEY, rows, diff);
};

export const groupByKey = (rows: readonly NodeRow[]): Map<string, NodeRow[]> => {
  const groups = new Map<string, NodeRow[]>();
  for (const row of rows) {
    const group = groups.get(row.key);
    if (group) group.push(row);
    else groups.set(row.key, [row]);
  }
  return groups;
};

/** True if all touched rows come from `changes` and sort after a full window on both sides. */
const beyondBound = (node: Node, touched: Touched, changes: readonly RowChange[]): boolean => {
  const {bound, plan} = node;
  if (!bound) return false;
  let explained = 0;
  const after = (row: StoredRow | null): boolean => {
    if (!row) return true;
    for (const [i, [name, direction]] of plan.order.entries()) {
      const order = compareValues(row[name] ?? null, bound[i]!);
      if (order !== 0) return direction === 'asc' ? order > 0 : order < 0;
    }
    return false;
  };
  for (const change of changes) {
    if (![change.old, change.new].some(row => row && node.mayMatch(row))) continue;
    if (!after(change.old) || !after(change.new)) return false;
    // A change of the identity touches two rows.
    explained +=
      change.old && change.new && plan.key.some(name => change.old![name] !== change.new![name]) ? 2 : 1;
  }
  return explained === touched.size;
};
