import type {AST, Condition} from '../zql/ast.ts';
import {bindCondition, type Claims} from './bind-static.ts';
import type {Permissions} from './permissions.ts';

const NOBODY: Condition = {type: 'or', conditions: []};

/**
 * A client's query as it may be run: at every level, inside EXISTS too, the select rules of its table are added, and
 * parameters are bound. A table without rules yields no rows (mutations-auth.md §8).
 */
export const transformClientQuery = (ast: AST, permissions: Permissions, claims: Claims): AST => {
  const rules = permissions.tables[ast.table]?.row?.select ?? [];
  // Rules are not transformed themselves: they may look at tables that the user cannot read.
  const allowed = rules.length
    ? simplify({type: 'or', conditions: rules.map(([, rule]) => bindCondition(rule, claims))})
    : NOBODY;
  const own = ast.where && transformCondition(bindCondition(ast.where, claims), permissions, claims);
  const where = simplify({type: 'and', conditions: own ? [own, allowed] : [allowed]});
  return {
    ...ast,
    where: isTrue(where) ? undefined : where,
    related: ast.related?.map(related => ({
      ...related,
      subquery: transformClientQuery(related.subquery, permissions, claims),
    })),
  };
};

const transformCondition = (condition: Condition, permissions: Permissions, claims: Claims): Condition => {
  if (condition.type === 'simple') return condition;
  if (condition.type === 'correlatedSubquery')
    return {
      ...condition,
      related: {
        ...condition.related,
        subquery: transformClientQuery(condition.related.subquery, permissions, claims),
      },
    };
  return {
    ...condition,
    conditions: condition.conditions.map(part => transformCondition(part, permissions, claims)),
  };
};

const isTrue = (condition: Condition): boolean =>
  condition.type === 'and' && condition.conditions.length === 0;
const isFalse = (condition: Condition): boolean =>
  condition.type === 'or' && condition.conditions.length === 0;

/** Flattens and drops what decides nothing, so that queries under open rules share their text. */
export const simplify = (condition: Condition): Condition => {
  if (condition.type !== 'and' && condition.type !== 'or') return condition;
  const {type} = condition;
  const parts = condition.conditions
    .map(simplify)
    .flatMap(part => (part.type === type ? part.conditions : [part]));
  if (parts.some(type === 'and' ? isFalse : isTrue))
    return {type: type === 'and' ? 'or' : 'and', conditions: []};
  const kept = parts.filter(part => !(type === 'and' ? isTrue(part) : isFalse(part)));
  return kept.length === 1 ? kept[0]! : {type, conditions: kept};
};
