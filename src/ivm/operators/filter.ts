import type {Snapshot} from '../../replica/snapshots.ts';
import type {Node, NodeDiff, Touched} from '../node.ts';
import {type NodeRow, rowIdOf} from '../node-rows.ts';
import type {RowId} from '../row-id.ts';

/**
 * Filter of an unlimited node: one statement tells which of the touched rows match now; comparing with what is present
 * gives the diff. Keys in `skip` are hydrated or dropped as a whole by the join.
 */
export const filter = (
  node: Node,
  touched: Touched,
  skip: ReadonlySet<string>,
  snapshot: Snapshot,
  diff: NodeDiff,
): void => {
  if (touched.size === 0) return;
  const matching = new Map<RowId, NodeRow>();
  for (const row of node.sql.ofIdentities(snapshot, touched.keys()))
    if (node.demand.has(row.key)) matching.set(row.row.id, row);
  for (const [identity, keys] of touched) {
    const id = rowIdOf(node.plan, identity);
    const after = matching.get(id);
    for (const key of keys) {
      const before = node.present.get(key)?.get(id);
      if (!before || skip.has(key) || after?.key === key) continue;
      diff.removed.push(before);
      dropRow(node, before);
    }
    if (!after || skip.has(after.key)) continue;
    const before = node.present.get(after.key)?.get(id);
    if (!before) diff.added.push(after);
    else if (before.row.rowVersion !== after.row.rowVersion || before.row.put !== after.row.put)
      diff.edited.push({before, after});
    else continue;
    putRow(node, after);
  }
};

const putRow = (node: Node, row: NodeRow): void => {
  let rows = node.present.get(row.key);
  if (!rows) node.present.set(row.key, (rows = new Map()));
  rows.set(row.row.id, row);
};

const dropRow = (node: Node, row: NodeRow): void => {
  const rows = node.present.get(row.key);
  rows?.delete(row.row.id);
  if (rows?.size === 0) node.present.delete(row.key);
};
