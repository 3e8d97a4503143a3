import type {AST, Condition, LiteralValue, SimpleCondition} from '../zql/ast.ts';

export type Claims = Readonly<Record<string, unknown>>;

/** Replaces parameters by literals of the claims; what is missing, or no scalar, is null (mutations-auth.md §4.1). */
export const bindCondition = (condition: Condition, claims: Claims): Condition => {
  switch (condition.type) {
    case 'simple':
      return {...condition, left: bind(condition.left, claims), right: bind(condition.right, claims)};
    case 'correlatedSubquery':
      return {
        ...condition,
        related: {...condition.related, subquery: bindAst(condition.related.subquery, claims)},
      };
    default:
      return {...condition, conditions: condition.conditions.map(part => bindCondition(part, claims))};
  }
};

const bindAst = (ast: AST, claims: Claims): AST =>
  ast.where ? {...ast, where: bindCondition(ast.where, claims)} : ast;

const bind = <T extends SimpleCondition['left']>(
  value: T,
  claims: Claims,
): Exclude<T, {type: 'static'}> | LiteralValue => {
  if (value.type !== 'static') return value as Exclude<T, {type: 'static'}>;
  if (value.anchor !== 'authData') return {type: 'literal', value: null};
  let found: unknown = claims;
  for (const field of typeof value.field === 'string' ? [value.field] : value.field)
    found = typeof found === 'object' && found !== null ? Reflect.get(found, field) : undefined;
  return {type: 'literal', value: isLiteral(found) ? found : null};
};

const isScalar = (value: unknown): value is string | number | boolean =>
  ['string', 'number', 'boolean'].includes(typeof value);
const isLiteral = (value: unknown): value is LiteralValue['value'] =>
  isScalar(value) || (Array.isArray(value) && value.every(isScalar));
