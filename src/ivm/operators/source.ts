import {type RowChange, storedTuple} from '../changes.ts';
import {type Node, type Touched, touch} from '../node.ts';
import {ROOT_KEY, rowIdOf} from '../node-rows.ts';
import {ReadAnew} from './read-anew.ts';

/**
 * Source: the changed rows of a node's table that its condition may let through, before or after the change, and that
 * may reach its window. A change of contents alone touches only what is present. @throws ReadAnew.
 */
export const source = (node: Node, changes: ReadonlyMap<string, readonly RowChange[]>): Touched => {
  const touched: Touched = new Map();
  const {table, key, childField, role} = node.plan;
  for (const change of changes.get(table.name) ?? []) {
    const sides = [change.old, change.new].filter(row => row !== null);
    if (!sides.some(node.mayMatch)) continue;
    if (node.window && sides.every(row => node.window!.isBeyond(row))) continue;
    if (node.isSteady(change) && !holds(node, change)) continue;
    // Its identity would be that of another row, so SQLite must judge.
    if (node.roundedKey.some(name => sides.some(row => isRounded(row[name])))) throw new ReadAnew();
    for (const row of sides) {
      const identity = storedTuple(row, key);
      if (identity !== null)
        touch(touched, identity, role === 'root' ? ROOT_KEY : storedTuple(row, childField));
    }
  }
  return touched;
};

const isRounded = (value: unknown): boolean => typeof value === 'number' && !Number.isSafeInteger(value);

/** Is the row present at the node, or in its window's reserve? Its identity may have changed with its contents. */
const holds = (node: Node, {old, new: now}: RowChange): boolean => {
  const {key, childField, role} = node.plan;
  for (const row of [old, now]) {
    const identity = row && storedTuple(row, key);
    if (!row || identity === null) continue;
    const id = rowIdOf(node.plan, identity);
    if (node.window) {
      if (node.window.has(id)) return true;
      continue;
    }
    const own = role === 'root' ? ROOT_KEY : storedTuple(row, childField);
    if (own !== null && node.present.get(own)?.has(id)) return true;
  }
  return false;
};

/**
 * Keys under which the truth of an EXISTS node may have changed: not those of rows of which only contents changed, unless
 * they are among `flipped`, by an EXISTS of their own.
 */
export const unsteadyKeys = (
  node: Node,
  touched: Touched,
  changes: ReadonlyMap<string, readonly RowChange[]>,
  flipped: ReadonlySet<string>,
): Set<string> => {
  const steady = new Set<string>();
  for (const change of changes.get(node.plan.table.name) ?? []) {
    if (!node.isSteady(change)) continue;
    for (const row of [change.old, change.new]) {
      const identity = row && storedTuple(row, node.plan.key);
      if (identity !== null && !flipped.has(identity)) steady.add(identity);
    }
  }
  const keys = new Set<string>();
  for (const [identity, own] of touched) if (!steady.has(identity)) for (const key of own) keys.add(key);
  return keys;
};
