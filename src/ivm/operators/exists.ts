import type {Snapshot} from '../../replica/snapshots.ts';
import type {RowChange} from '../changes.ts';
import {type Node, type Touched, touch} from '../node.ts';
import {source} from './source.ts';

/**
 * Exists: adds to the touched rows of a node those whose EXISTS or NOT EXISTS may have flipped, because a child row with
 * their key came, went or changed (zql.md §3.4, with every affected key taken for flipped). Children first, at any depth.
 * `perNode` receives the touched rows of every EXISTS node on the way.
 */
export const exists = (
  node: Node,
  touched: Touched,
  changes: ReadonlyMap<string, readonly RowChange[]>,
  snapshot: Snapshot,
  perNode: Map<Node, Touched>,
): void => {
  perNode.set(node, touched);
  for (const child of node.exists) {
    const childTouched = source(child, changes);
    exists(child, childTouched, changes, snapshot, perNode);
    const keys = keysOf(childTouched);
    if (keys.size === 0) continue;
    // Below the root only rows under a demanded key can be present.
    for (const {identity, key} of node.sql.parentsOf(snapshot, child.plan, keys))
      if (node.plan.role !== 'related' || (key !== null && node.demand.has(key)))
        touch(touched, identity, key);
  }
};

export const keysOf = (touched: Touched): Set<string> => {
  const keys = new Set<string>();
  for (const some of touched.values()) for (const key of some) keys.add(key);
  return keys;
};
