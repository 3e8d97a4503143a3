import type {Snapshot} from '../replica/snapshots.ts';
import type {Fragment} from '../zql/fragment.ts';

/** SQLite's plan of a statement, one line per step, indented by depth. */
export const planLines = (snapshot: Snapshot, {sql, params}: Fragment): string[] => {
  // Not kept: it would push statements in use out of the cache.
  const rows = snapshot.db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(params) as {
    id: number;
    parent: number;
    detail: string;
  }[];
  const depths = new Map<number, number>();
  return rows.map(({id, parent, detail}) => {
    const depth = parent === 0 ? 0 : (depths.get(parent) ?? 0) + 1;
    depths.set(id, depth);
    return `${'  '.repeat(depth)}${detail}`;
  });
};

/** Does the plan read everything before it yields its first row in order? */
export const sorts = (lines: readonly string[]): boolean =>
  lines.some(line => line === 'USE TEMP B-TREE FOR ORDER BY');
