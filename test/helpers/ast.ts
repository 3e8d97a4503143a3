import type {
  AST,
  Condition,
  CorrelatedSubquery,
  ExistsCondition,
  LiteralValue,
  SimpleOperator,
} from '../../src/zql/ast.ts';

/** Short names for the parts of a query. */
export const where = (name: string, op: SimpleOperator, value: LiteralValue['value']): Condition => ({
  type: 'simple',
  op,
  left: {type: 'column', name},
  right: {type: 'literal', value},
});
export const and = (...conditions: Condition[]): Condition => ({type: 'and', conditions});
export const or = (...conditions: Condition[]): Condition => ({type: 'or', conditions});

type Fields = string | readonly string[];
const list = (fields: Fields): readonly string[] => (typeof fields === 'string' ? [fields] : fields);

/** A child whose `childField` equals the parent's `parentField`. */
export const child = (
  parentField: Fields,
  childField: Fields,
  subquery: AST,
  system: CorrelatedSubquery['system'] = 'client',
): CorrelatedSubquery => ({
  correlation: {parentField: list(parentField), childField: list(childField)},
  subquery,
  system,
});

export const exists = (
  related: CorrelatedSubquery,
  hints: Pick<ExistsCondition, 'flip' | 'scalar'> = {},
): Condition => ({
  type: 'correlatedSubquery',
  op: 'EXISTS',
  related,
  ...hints,
});
export const notExists = (
  related: CorrelatedSubquery,
  hints: Pick<ExistsCondition, 'scalar'> = {},
): Condition => ({
  type: 'correlatedSubquery',
  op: 'NOT EXISTS',
  related,
  ...hints,
});
