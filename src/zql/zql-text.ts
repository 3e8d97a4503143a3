import type {AST, Condition, CorrelatedSubquery, ExistsCondition, SimpleCondition} from './ast.ts';

/** A query as one would write it in ZQL, with server names; relationships go by their aliases. For people to read. */
export const zqlText = (ast: AST): string => `${ast.table}${steps(ast)}`;

const steps = ({where, related, start, limit, orderBy}: AST): string =>
  [
    ...(where ? conjuncts(where).map(whereStep) : []),
    ...(related ?? []).map(child => call('related', quote(aliasOf(child)), ...body(child.subquery))),
    ...(orderBy ?? []).map(([column, direction]) => call('orderBy', quote(column), quote(direction))),
    ...(start ? [call('start', json(start.row), ...(start.exclusive ? [] : ['{inclusive: true}']))] : []),
    ...(limit === undefined ? [] : [call('limit', String(limit))]),
  ]
    .map(step => `.${step}`)
    .join('');

const conjuncts = (condition: Condition): readonly Condition[] =>
  condition.type === 'and' && condition.conditions.length
    ? condition.conditions.flatMap(conjuncts)
    : [condition];

const whereStep = (condition: Condition): string => {
  if (condition.type === 'simple' && condition.left.type === 'column')
    return call('where', ...operands(condition));
  if (condition.type === 'correlatedSubquery' && condition.op === 'EXISTS')
    return call('whereExists', ...existsArguments(condition));
  return call('where', `({and, or, not, cmp, cmpLit, exists}) => ${expression(condition)}`);
};

const expression = (condition: Condition): string => {
  switch (condition.type) {
    case 'simple':
      return call(condition.left.type === 'column' ? 'cmp' : 'cmpLit', ...operands(condition));
    case 'correlatedSubquery': {
      const exists = call('exists', ...existsArguments(condition));
      return condition.op === 'EXISTS' ? exists : call('not', exists);
    }
    default:
      return call(condition.type, ...condition.conditions.map(expression));
  }
};

const operands = ({left, op, right}: SimpleCondition): string[] => [operand(left), quote(op), operand(right)];

const operand = (value: SimpleCondition['left']): string => {
  if (value.type === 'column') return quote(value.name);
  return value.type === 'literal' ? json(value.value) : [value.anchor, value.field].flat().join('.');
};

const existsArguments = ({related, flip, scalar}: ExistsCondition): string[] => {
  const options = Object.entries({flip, scalar}).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return [
    quote(aliasOf(related)),
    ...body(related.subquery),
    ...(options.length ? [`{${options.join(', ')}}`] : []),
  ];
};

/** The client's builder marks aliases of subqueries in this way. */
const MARK = /^zsubq_/;

const aliasOf = ({subquery: {alias, table}}: CorrelatedSubquery): string =>
  (alias ?? table).replace(MARK, '');

const body = (subquery: AST): string[] => {
  const text = steps(subquery);
  return text ? [`q => q${text}`] : [];
};

const call = (name: string, ...args: readonly string[]): string => `${name}(${args.join(', ')})`;
const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
const json = (value: unknown): string => (typeof value === 'string' ? quote(value) : JSON.stringify(value));
