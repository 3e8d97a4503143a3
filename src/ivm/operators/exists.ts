import type {Snapshot} from '../../replica/snapshots.ts';
import type {RowChange} from '../changes.ts';
import {type Node, type Touched, touch} from '../node.ts';
import {ReadAnew} from './read-anew.ts';
import {source, unsteadyKeys} from './source.ts';

/**
 * Exists: adds to the touched rows of a node those whose EXISTS or NOT EXISTS may have flipped, because a child row with
 * their key came, went or changed in what decides (zql.md §3.4, with every affected key taken for flipped). Children
 * first, at any depth. `perNode` receives the touched rows of every EXISTS node on the way.
 * @returns the identities it added. @throws ReadAnew if the keys of one child have more than `mostParents` rows.
 */
export const exists = (
  node: Node,
  touched: Touched,
  changes: ReadonlyMap<string, readonly RowChange[]>,
  snapshot: Snapshot,
  perNode: Map<Node, Touched>,
  mostParents: number,
): Set<string> => {
  perNode.set(node, touched);
  const added = new Set<string>();
  for (const child of node.exists) {
    const childTouched = source(child, changes);
    const flipped = exists(child, childTouched, changes, snapshot, perNode, mostParents);
    const keys = unsteadyKeys(child, childTouched, changes, flipped);
    if (keys.size === 0) continue;
    // Below the root only rows under a demanded key can be present.
    const parents = node.sql.parentsOf(snapshot, child.plan, keys, mostParents);
    if (!parents) throw new ReadAnew();
    for (const {identity, key} of parents)
      if (node.plan.role !== 'related' || (key !== null && node.demand.has(key))) {
        touch(touched, identity, key);
        added.add(identity);
      }
  }
  return added;
};
