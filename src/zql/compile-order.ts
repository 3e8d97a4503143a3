import {QueryError} from '../errors.ts';
import {ident} from '../pg/identifier.ts';
import type {SqliteValue} from '../replica/table-spec.ts';
import {FALSE, type Fragment, fragment, join, TRUE, wrap} from './fragment.ts';
import {columnOf, comparable, type NodePlan} from './plan.ts';

/** ` ORDER BY …`, or nothing. SQLite sorts null first and text by bytes, as ZQL does (zql.md §1.4). */
export const compileOrder = (node: NodePlan, alias: string): string =>
  node.order.length
    ? ` ORDER BY ${node.order.map(([name, direction]) => `${alias}.${ident(name)} ${direction.toUpperCase()}`).join(', ')}`
    : '';

/** Rows after (or at) `start` in the effective order; columns missing from the bound count as null (zql.md §1.5, §4.3). */
export const compileStart = (node: NodePlan, alias: string): Fragment => {
  if (!node.start) return TRUE;
  const {row, exclusive} = node.start;
  const columns = node.order.map(([name, direction]) => {
    const column = comparable(node.table, name, 'ordered by');
    const value = row[name] ?? null;
    if (value !== null && typeof value !== column.zqlType)
      throw new QueryError(`The start bound of "${node.table.name}.${name}" is not a ${column.zqlType}.`);
    return {
      sql: `${alias}.${ident(name)}`,
      direction,
      value: bind(value as string | number | boolean | null),
      nullable: !column.notNull,
    };
  });
  return position(columns, exclusive);
};

/** Rows strictly after a position, given as stored values of the order's columns. */
export const compileAfter = (node: NodePlan, alias: string, values: readonly SqliteValue[]): Fragment =>
  position(
    node.order.map(([name, direction], i) => ({
      sql: `${alias}.${ident(name)}`,
      direction,
      value: values[i]!,
      nullable: !columnOf(node.table, name).notNull,
    })),
    true,
  );

const position = (columns: readonly BoundColumn[], exclusive: boolean): Fragment => {
  const branches: Fragment[] = [];
  for (let i = 0; i < columns.length; i++) {
    const ties = columns.slice(0, i).map(tie);
    branches.push(wrap('(', join([...ties, after(columns[i]!)], ' AND '), ')'));
  }
  if (!exclusive) branches.push(wrap('(', join(columns.map(tie), ' AND '), ')'));
  const all = wrap('(', join(branches, ' OR '), ')');
  // Implied by the rest, but an index seek sees it. Nulls come last under desc, so there it would lose them.
  const {sql, direction, value, nullable} = columns[0]!;
  if (value === null || (direction === 'desc' && nullable)) return all;
  return join([fragment(`${sql} ${direction === 'asc' ? '>=' : '<='} ?`, value), all], ' AND ');
};

interface BoundColumn {
  readonly sql: string;
  readonly direction: 'asc' | 'desc';
  readonly value: SqliteValue;
  readonly nullable: boolean;
}

const bind = (value: string | number | boolean | null): SqliteValue =>
  typeof value === 'boolean' ? Number(value) : value;

const tie = ({sql, value}: BoundColumn): Fragment =>
  value === null ? fragment(`${sql} IS NULL`) : fragment(`${sql} IS ?`, value);

const after = ({sql, direction, value}: BoundColumn): Fragment => {
  if (direction === 'asc')
    return value === null ? fragment(`${sql} IS NOT NULL`) : fragment(`${sql} > ?`, value);
  return value === null ? FALSE : fragment(`(${sql} IS NULL OR ${sql} < ?)`, value);
};
