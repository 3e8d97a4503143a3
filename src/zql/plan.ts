import {QueryError} from '../errors.ts';
import type {ColumnSpec, TableSpec} from '../replica/table-spec.ts';
import type {AST, Bound, Condition, CorrelatedSubquery, ExistsCondition, Ordering} from './ast.ts';

/** Which key identifies a row on the wire, per table: the client schema's primary key (zql.md §1.5). */
export type PrimaryKeys = Readonly<Record<string, readonly string[]>>;

/** Rows kept as proof of a true EXISTS per parent key; more than one keeps optimistic deletes from blinking the parent. */
const WITNESSES = 3;

/** One level of a query: the root, a related child, or an EXISTS / NOT EXISTS child (zql.md §1.10, §3.2). */
export interface NodePlan {
  /** Position in pre-order; 0 = root. */
  readonly index: number;
  readonly role: 'root' | 'related' | 'exists';
  readonly table: TableSpec;
  /** Identity of a row on the wire. */
  readonly key: readonly string[];
  /** Correlation: columns here and in the parent, position by position; empty at the root. */
  readonly childField: readonly string[];
  readonly parentField: readonly string[];
  /** False below a permission rule: decides truth but is never synced. */
  readonly emitted: boolean;
  readonly where: Condition | undefined;
  readonly start: Bound | undefined;
  /** null = all. Per distinct key below the root. */
  readonly limit: number | null;
  /** Effective order: `orderBy` completed by the key; empty where the choice is free (witnesses). */
  readonly order: Ordering;
  readonly related: readonly NodePlan[];
  /** Of its own `where`, at any depth of and/or, in the order in which they occur. */
  readonly exists: readonly NodePlan[];
  /** An EXISTS node of NOT EXISTS. */
  readonly negated: boolean;
  /** What the query says of where an EXISTS begins; undefined: the planner chooses. */
  readonly flip: boolean | undefined;
}

/** A query's levels. */
export interface QueryPlan {
  readonly root: NodePlan;
  /** Rows of scalar subqueries, each a root of its own: synced whether or not a row of the query meets them (zql.md §1.8). */
  readonly companions: readonly NodePlan[];
}

/**
 * Resolves an AST against the replica's tables. @throws QueryError naming the unknown table or column, or what is wrong.
 */
export const planQuery = (ast: AST, tables: ReadonlyMap<string, TableSpec>, keys: PrimaryKeys): QueryPlan => {
  let index = 0;
  const companions: AST[] = [];

  const node = (
    ast: AST,
    role: NodePlan['role'],
    correlation: CorrelatedSubquery['correlation'] | null,
    parent: TableSpec | null,
    emitted: boolean,
    condition?: ExistsCondition,
  ): NodePlan => {
    const table = tableOf(ast.table, tables);
    const key = keys[ast.table] ?? table.keys[0];
    if (!key?.length)
      throw new QueryError(
        `Table "${ast.table}" has no primary key or unique index on NOT NULL columns, so it cannot be synced.`,
      );
    for (const name of key) columnOf(table, name);
    checkLimit(ast.limit);
    for (const name of correlation?.childField ?? []) columnOf(table, name);
    for (const name of correlation?.parentField ?? []) columnOf(parent!, name);
    if (
      correlation &&
      (!correlation.childField.length || correlation.childField.length !== correlation.parentField.length)
    )
      throw new QueryError(`The correlation with "${ast.table}" is empty or of unequal length.`);
    for (const [name] of ast.orderBy ?? []) comparable(table, name, 'ordered by');
    if (role === 'exists' && ast.start) throw new QueryError('A start bound makes no sense within EXISTS.');
    const here = index++;
    const exists: NodePlan[] = [];
    for (const condition of existsConditions(ast.where)) {
      const {related} = condition;
      const visible = emitted && related.system !== 'permissions';
      const scalar = isScalar(condition, tables);
      if (visible && scalar) companions.push(related.subquery);
      exists.push(
        node(related.subquery, 'exists', related.correlation, table, visible && !scalar, condition),
      );
    }
    // Values of different types are never equal, whatever SQLite makes of `'1' = 1`.
    const neverMeets = correlation?.childField.some(
      (name, i) => columnOf(table, name).zqlType !== columnOf(parent!, correlation.parentField[i]!).zqlType,
    );
    // Of two relationships with the same alias the last one counts, as it does for the client.
    const related = new Map<string, CorrelatedSubquery>();
    if (role !== 'exists')
      for (const child of ast.related ?? []) related.set(child.subquery.alias ?? child.subquery.table, child);
    return {
      index: here,
      role,
      table,
      key,
      childField: correlation?.childField ?? [],
      parentField: correlation?.parentField ?? [],
      emitted,
      where: ast.where,
      start: ast.start,
      limit: neverMeets ? 0 : role === 'exists' ? (ast.limit === 0 ? 0 : WITNESSES) : (ast.limit ?? null),
      order: role === 'exists' ? [] : completeOrder(ast.orderBy, key),
      exists,
      related: [...related.values()].map(child =>
        node(child.subquery, 'related', child.correlation, table, emitted && child.system !== 'permissions'),
      ),
      negated: condition?.op === 'NOT EXISTS',
      flip: condition?.flip,
    };
  };
  const root = node(ast, 'root', null, null, true);
  const roots: NodePlan[] = [];
  // Planning a companion may find further ones below it.
  for (const {table, where} of companions) roots.push(node({table, where}, 'root', null, null, true));
  return {root, companions: roots};
};

/**
 * Is a `scalar` hint honoured: does the subquery name at most one row by literals, and does one column decide? Otherwise
 * it is an EXISTS like any other (zql.md §1.8).
 */
export const isScalar = (
  {scalar, related}: ExistsCondition,
  tables: ReadonlyMap<string, {readonly keys: readonly (readonly string[])[]}>,
): boolean => {
  if (!scalar || related.correlation.childField.length !== 1 || related.subquery.limit === 0) return false;
  const table = tables.get(related.subquery.table);
  return table !== undefined && namesOneRow(related.subquery.where, table);
};

/** Do literals hold all of a unique key? */
export const namesOneRow = (
  where: Condition | undefined,
  table: {readonly keys: readonly (readonly string[])[]},
): boolean => {
  const pinned = new Set<string>();
  const visit = (condition: Condition | undefined) => {
    if (condition?.type === 'and') condition.conditions.forEach(visit);
    else if (
      condition?.type === 'simple' &&
      condition.op === '=' &&
      condition.left.type === 'column' &&
      condition.right.type === 'literal' &&
      condition.right.value !== null
    )
      pinned.add(condition.left.name);
  };
  visit(where);
  return table.keys.some(key => key.every(name => pinned.has(name)));
};

/** EXISTS and NOT EXISTS of a condition, not those nested in their subqueries. */
function* existsConditions(condition: Condition | undefined): Generator<ExistsCondition> {
  if (!condition) return;
  if (condition.type === 'correlatedSubquery') yield condition;
  else if (condition.type !== 'simple')
    for (const part of condition.conditions) yield* existsConditions(part);
}

export function* allNodes(node: NodePlan): Generator<NodePlan> {
  yield node;
  for (const child of node.exists) yield* allNodes(child);
  for (const child of node.related) yield* allNodes(child);
}

/** Children whose rows are synced for a present row of `node`. */
export const emittedChildren = (node: NodePlan): readonly NodePlan[] =>
  [...node.exists, ...node.related].filter(child => child.emitted);

export const columnOf = (table: TableSpec, name: string): ColumnSpec => {
  const column = table.columns.find(c => c.name === name && c.zqlType !== null);
  if (!column) throw new QueryError(`Table "${table.name}" has no synced column "${name}".`);
  return column;
};

/** @throws QueryError for columns that have no order: JSON. */
export const comparable = (table: TableSpec, name: string, how: string): ColumnSpec => {
  const column = columnOf(table, name);
  if (column.zqlType === 'json')
    throw new QueryError(`Column "${table.name}.${name}" is JSON and cannot be ${how}.`);
  return column;
};

/** Can rows be found by these columns without reading the whole table? */
export const hasIndexOn = (table: TableSpec, columns: readonly string[]): boolean =>
  table.indexes.some(({columns: [first]}) => first !== undefined && columns.includes(first));

const tableOf = (name: string, tables: ReadonlyMap<string, TableSpec>): TableSpec => {
  const table = tables.get(name);
  if (table) return table;
  throw new QueryError(
    `There is no table "${name}" in the replica. Is it published, and does the client use its server name?`,
  );
};

const completeOrder = (order: Ordering | undefined, key: readonly string[]): Ordering => {
  // A column named twice orders by its first occurrence only.
  const seen = new Set<string>();
  const complete: [string, 'asc' | 'desc'][] = [];
  for (const [name, direction] of [...(order ?? []), ...key.map(name => [name, 'asc'] as const)]) {
    if (seen.has(name)) continue;
    seen.add(name);
    complete.push([name, direction]);
  }
  return complete;
};

const checkLimit = (limit: number | undefined) => {
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 0))
    throw new QueryError('A limit must be a whole number that is not negative.');
};
