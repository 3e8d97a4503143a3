import type {GraphInspection} from '../observe/inspection.ts';
import type {Snapshot} from '../replica/snapshots.ts';
import type {Node} from './node.ts';
import {planLines} from './plan-lines.ts';

type Operator = GraphInspection['operators'][number];

/** A node's operators from the source down, then those of its children. Plans are asked of the snapshot, if there is one. */
export function* describe(
  node: Node,
  snapshot: Snapshot | null,
  visits: ReadonlyMap<number, number> | null,
  depth = 0,
): Generator<Operator> {
  const {plan, sql} = node;
  let rows = 0;
  const {level} = node;
  if (level) for (const key of node.demand.keys()) rows += level.rowsOf(key)?.size ?? 0;
  else for (const present of node.present.values()) rows += present.size;
  const kind =
    plan.role === 'root'
      ? 'source'
      : plan.role === 'related'
        ? 'join'
        : plan.negated
          ? 'not exists'
          : 'exists';
  // What only decides is probed inside its parent's statement and has no rows of its own.
  const isRead = plan.role !== 'exists' || plan.emitted;
  yield {
    depth,
    operator: `${kind} ${plan.table.name}`,
    rows,
    keys: node.demand.size,
    sharedBy: level?.owners ?? 1,
    sql: isRead ? sql.statement.sql : null,
    plan: isRead && snapshot ? planLines(snapshot, sql.statement) : null,
    rowsRead: visits ? (visits.get(plan.index) ?? 0) : null,
  };
  const below = {depth: depth + 1, rows, keys: 0, sharedBy: 1, sql: null, plan: null, rowsRead: null};
  if (plan.where) yield {...below, operator: 'filter'};
  if (plan.limit !== null) yield {...below, operator: `take ${plan.limit}`};
  for (const child of new Set([...node.exists, ...node.emitted]))
    yield* describe(child, snapshot, visits, depth + 1);
}
