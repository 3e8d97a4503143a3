import {type RowChange, storedTuple} from '../changes.ts';
import {type Node, type Touched, touch} from '../node.ts';
import {ROOT_KEY} from '../node-rows.ts';

/**
 * Source: the changed rows of a node's table that its condition may let through, before or after the change, and that
 * may reach its window.
 */
export const source = (node: Node, changes: ReadonlyMap<string, readonly RowChange[]>): Touched => {
  const touched: Touched = new Map();
  const {table, key, childField, role} = node.plan;
  for (const change of changes.get(table.name) ?? []) {
    const sides = [change.old, change.new].filter(row => row !== null);
    if (!sides.some(node.mayMatch)) continue;
    if (node.window && sides.every(row => node.window!.isBeyond(row))) continue;
    for (const row of sides) {
      const identity = storedTuple(row, key);
      if (identity !== null)
        touch(touched, identity, role === 'root' ? ROOT_KEY : storedTuple(row, childField));
    }
  }
  return touched;
};
