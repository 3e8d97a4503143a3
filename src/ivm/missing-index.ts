import {hasIndexOn, type NodePlan} from '../zql/plan.ts';
import type {Statistics} from '../zql/planner.ts';

/** An index that would spare a query reading a table, or sorting what it read. */
export interface MissingIndex {
  readonly table: string;
  readonly columns: readonly string[];
  readonly why: string;
}

/** Smaller tables are read as a whole without harm. */
const MANY_ROWS = 1000;

/** The upstream statement that mends it; the replica takes the index over. */
export const createIndexText = ({table, columns}: MissingIndex): string =>
  `CREATE INDEX ON ${table.split('.').map(quoted).join('.')} (${columns.map(quoted).join(', ')})`;

const quoted = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name}"`);

/**
 * Which indexes a node and what lies below it lack (zql.md §4.6). `rootPlan`: SQLite's plan of the root's statement, by
 * which a root is judged; without it only keys are looked at.
 */
export const missingIndexes = (
  root: NodePlan,
  statistics: Statistics,
  rootPlan: readonly string[] = [],
): MissingIndex[] => {
  const found = new Map<string, MissingIndex>();
  const report = (table: NodePlan['table'], columns: readonly string[], why: string) => {
    if (columns.length === 0 || statistics.rows(table.name) < MANY_ROWS) return;
    const key = `${table.name}\0${columns.join('\0')}`;
    if (!found.has(key)) found.set(key, {table: table.name, columns, why});
  };
  const visit = (node: NodePlan) => {
    for (const child of [...node.exists, ...node.related]) {
      if (!hasIndexOn(child.table, child.childField))
        report(child.table, child.childField, `rows of ${child.table.name} are found by these columns`);
      // A changed child asks for its parents.
      if (child.role === 'exists' && !hasIndexOn(node.table, child.parentField))
        report(
          node.table,
          child.parentField,
          `a change of ${child.table.name} is traced to ${node.table.name}`,
        );
      visit(child);
    }
  };
  visit(root);
  const equal = equalColumns(root);
  const order = root.limit === null ? [] : root.order.map(([name]) => name).slice(0, firstUnique(root));
  const scans = rootPlan.some(line => /^SCAN t(?! USING)/.test(line.trim()));
  const sorts = rootPlan.some(line => line.trim() === 'USE TEMP B-TREE FOR ORDER BY');
  if (scans || sorts)
    report(
      root.table,
      [...new Set([...equal, ...order])],
      scans ? 'the query reads the whole table' : 'the query sorts all rows that its filter leaves',
    );
  return [...found.values()];
};

/** How many columns of the order an index needs: none after a key. */
const firstUnique = (root: NodePlan): number => {
  const unique = root.order.findIndex(([name]) =>
    root.table.keys.some(key => key.length === 1 && key[0] === name),
  );
  return unique < 0 ? root.order.length : Math.max(1, unique);
};

const equalColumns = ({where}: NodePlan): string[] => {
  const columns: string[] = [];
  const visit = (condition: NodePlan['where']) => {
    if (condition?.type === 'and') condition.conditions.forEach(visit);
    else if (condition?.type === 'simple' && (condition.op === '=' || condition.op === 'IS'))
      if (condition.left.type === 'column') columns.push(condition.left.name);
  };
  visit(where);
  return columns;
};
