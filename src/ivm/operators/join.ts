import type {Snapshot} from '../../replica/snapshots.ts';
import {type Level, type Node, type NodeDiff, replaceKey} from '../node.ts';
import {groupByKey, type NodeRow} from '../node-rows.ts';

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
  known: Level | null = null,
): Generator<void, void> {
  for (const key of shift.closed) replaceKey(child, key, [], diff);
  const unknown: string[] = [];
  for (const key of shift.opened) {
    const rows = known?.rowsOf(key);
    if (rows) replaceKey(child, key, [...rows.values()], diff);
    else unknown.push(key);
  }
  let isFirst = true;
  for (const keys of inChunks(child, unknown)) {
    if (!isFirst) yield;
    isFirst = false;
    for (const [key, rows] of groupByKey(child.sql.ofKeys(snapshot, keys)))
      replaceKey(child, key, rows, diff);
  }
};

/** The same where a shared level holds the rows, together with what the step changes under keys that stay. */
export const applySharedShift = (
  child: Node,
  level: Level,
  shift: DemandShift,
  snapshot: Snapshot,
  diff: NodeDiff,
): void => {
  for (const [key, changed] of level.advance()) {
    if (!child.demand.has(key) || shift.opened.has(key)) continue;
    diff.added.push(...changed.added);
    diff.removed.push(...changed.removed);
    diff.edited.push(...changed.edited);
  }
  // What may fail comes first: an error must leave the level's counts as they were.
  const read: NodeRow[] = [];
  const unknown = [...shift.opened].filter(key => level.rowsOf(key) === undefined);
  for (const keys of inChunks(child, unknown)) read.push(...child.sql.ofKeys(snapshot, keys));
  const groups = groupByKey(read);
  for (const key of shift.closed) {
    diff.removed.push(...level.rowsBefore(key).values());
    level.release(key);
  }
  for (const key of shift.opened) {
    const rows = new Map((groups.get(key) ?? []).map(row => [row.row.id, row]));
    diff.added.push(...level.acquire(key, rows).values());
  }
};

/** Keys in the sets that are worth asking for at once. */
export function* inChunks({sql}: Node, keys: readonly string[]): Generator<readonly string[]> {
  for (let at = 0; at < keys.length; at += sql.keysPerStatement)
    yield keys.slice(at, at + sql.keysPerStatement);
}
