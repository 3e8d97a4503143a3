import type {Snapshot} from '../../replica/snapshots.ts';
import {keysOf, type Node, type NodeDiff, replaceKey, type Touched} from '../node.ts';
import {groupByKey, ROOT_KEY, rowIdOf} from '../node-rows.ts';
import type {RowId} from '../row-id.ts';

/**
 * Take: the first rows in order. The root keeps its window up to date from the touched rows, unless they are more than
 * `mostTouched`, and reads on only when it runs dry; below the root, windows (and witness sets) of the keys that touched rows concern are read anew and compared
 * (zql.md §3.5, §3.9).
 */
export const take = (
  node: Node,
  touched: Touched,
  skip: ReadonlySet<string>,
  snapshot: Snapshot,
  diff: NodeDiff,
  mostTouched: number,
): void => {
  if (node.window) return takeRoot(node, touched, snapshot, diff, mostTouched);
  const keys = [...keysOf(touched)].filter(key => node.demand.has(key) && !skip.has(key));
  if (keys.length === 0) return;
  const rows = groupByKey(node.sql.ofKeys(snapshot, keys));
  for (const key of keys) replaceKey(node, key, rows.get(key) ?? [], diff);
};

const takeRoot = (
  node: Node,
  touched: Touched,
  snapshot: Snapshot,
  diff: NodeDiff,
  mostTouched: number,
): void => {
  const window = node.window!;
  if (touched.size === 0 || window.limit === 0) return;
  if (touched.size > mostTouched) {
    window.fill(toEnd(node.sql.ofRoot(snapshot, window.capacity)));
  } else {
    const ids: RowId[] = [];
    for (const identity of touched.keys()) ids.push(rowIdOf(node.plan, identity));
    window.update(ids, node.sql.ofIdentities(snapshot, touched.keys()));
    const {wants, bound} = window;
    if (wants > 0) window.refill(toEnd(node.sql.ofRoot(snapshot, wants, bound)));
  }
  replaceKey(node, ROOT_KEY, window.first(), diff);
};

/** Runs what could be interrupted without interruption. */
export const toEnd = <T>(steps: Generator<void, T>): T => {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
};
