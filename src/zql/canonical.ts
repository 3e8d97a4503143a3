import type {AST, Condition, SimpleCondition} from './ast.ts';

/**
 * Text that is equal for queries with the same meaning as far as cheaply seen: fixed property order, nested and/or
 * flattened, order of siblings kept. The identity under which graphs are shared, compared in full.
 */
export const canonicalText = (ast: AST): string => JSON.stringify(canonicalAst(ast), distinctNumbers);

/** JSON.stringify would make infinity the same as null. */
const distinctNumbers = (_: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isFinite(value) ? {number: String(value)} : value;

const canonicalAst = (ast: AST): unknown => ({
  table: ast.table,
  alias: ast.alias,
  where: ast.where && canonicalCondition(ast.where),
  related: ast.related?.map(({correlation, subquery, system}) => ({
    parent: correlation.parentField,
    child: correlation.childField,
    system: system === 'permissions' ? system : undefined,
    subquery: canonicalAst(subquery),
  })),
  start: ast.start && {row: sorted(ast.start.row), exclusive: ast.start.exclusive},
  limit: ast.limit,
  orderBy: ast.orderBy,
});

const sorted = (row: Readonly<Record<string, unknown>>): unknown =>
  Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)));

const canonicalCondition = (condition: Condition): unknown => {
  if (condition.type === 'simple') return [condition.op, operand(condition.left), operand(condition.right)];
  if (condition.type === 'correlatedSubquery') {
    const {related, op} = condition;
    return [
      op,
      related.correlation.parentField,
      related.correlation.childField,
      related.system === 'permissions',
      canonicalAst(related.subquery),
    ];
  }
  return [
    condition.type,
    ...condition.conditions
      .flatMap(part => (part.type === condition.type ? flat(part) : [part]))
      .map(canonicalCondition),
  ];
};

/** Whatever the property order: a query that comes back from the view record has PostgreSQL's. */
const operand = (value: SimpleCondition['left'] | SimpleCondition['right']): unknown =>
  value.type === 'literal'
    ? [value.value]
    : value.type === 'column'
      ? value.name
      : [value.anchor, value.field, 'static'];

const flat = (condition: Condition): readonly Condition[] =>
  condition.type === 'and' || condition.type === 'or'
    ? condition.conditions.flatMap(part => (part.type === condition.type ? flat(part) : [part]))
    : [condition];

/** Every table a query reads, at any depth. */
export const tablesOf = (ast: AST): Set<string> => {
  const tables = new Set<string>();
  const visit = (level: AST) => {
    tables.add(level.table);
    level.related?.forEach(related => visit(related.subquery));
    const condition = (part: Condition | undefined) => {
      if (!part) return;
      if (part.type === 'correlatedSubquery') visit(part.related.subquery);
      else if (part.type !== 'simple') part.conditions.forEach(condition);
    };
    condition(level.where);
  };
  visit(ast);
  return tables;
};
