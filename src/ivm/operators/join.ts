import type {Snapshot} from '../../replica/snapshots.ts';
import {type Node, type NodeDiff, replaceKey} from '../node.ts';
import {groupByKey} from './take.ts';

/** Keys of a child that gained their first or lost their last present parent. */
export interface DemandShift {
  readonly opened: Set<string>;
  readonly closed: Set<string>;
}

export const noShift = (): DemandShift => ({opened: new Set(), closed: new Set()});

/** Join, upper half: what a parent's diff does to the keys demanded of one child (zql.md §3.6). */
export const shiftDemand = (child: Node, childIndex: number, diff: NodeDiff): DemandShift => {
  const before = new Map<string, boolean>();
  const move = (key: string | null | undefined, by: number) => {
    if (key === null || key === undefined) return;
    const count = child.demand.get(key) ?? 0;
    if (!before.has(key)) before.set(key, count > 0);
    if (count + by > 0) child.demand.set(key, count + by);
    else child.demand.delete(key);
  };
  // Arrivals first: a key that loses one parent and wins another must not pass through zero.
  for (const row of diff.added) move(row.childKeys[childIndex], 1);
  for (const {before: old, after} of diff.edited) {
    move(after.childKeys[childIndex], 1);
    move(old.childKeys[childIndex], -1);
  }
  for (const row of diff.removed) move(row.childKeys[childIndex], -1);
  const shift = noShift();
  for (const [key, was] of before) {
    const is = child.demand.has(key);
    if (is && !was) shift.opened.add(key);
    else if (was && !is) shift.closed.add(key);
  }
  return shift;
};

/** Join, lower half: rows of closed keys leave, rows of opened keys are read in sets. Yields between two sets. */
export const applyShift = function* (
  child: Node,
  shift: DemandShift,
  snapshot: Snapshot,
  diff: NodeDiff,
): Generator<void, void> {
  for (const key of shift.closed) replaceKey(child, key, [], diff);
  const opened = [...shift.opened];
  const {keysPerStatement} = child.sql;
  for (let at = 0; at < opened.length; at += keysPerStatement) {
    if (at > 0) yield;
    const groups = groupByKey(child.sql.ofKeys(snapshot, opened.slice(at, at + keysPerStatement)));
    for (const [key, rows] of groups) replaceKey(child, key, rows, diff);
  }
};
