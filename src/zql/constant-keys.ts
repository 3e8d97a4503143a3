import type {SqliteValue} from '../replica/table-spec.ts';
import type {Condition} from './ast.ts';

/** Values one of which a row must hold in `column` to match at all; found on the AND level of a condition. */
export interface ConstantKey {
  readonly column: string;
  readonly values: readonly SqliteValue[];
}

/** The equality that narrows a condition most: fewest values. null if there is none (zql.md §3.10). */
export const constantKey = (condition: Condition | undefined): ConstantKey | null => {
  if (!condition || condition.type === 'or' || condition.type === 'correlatedSubquery') return null;
  if (condition.type === 'and')
    return condition.conditions
      .map(constantKey)
      .reduce((best, key) => (key && (!best || key.values.length < best.values.length) ? key : best), null);
  const {left, op, right} = condition;
  if (left.type !== 'column' || right.type !== 'literal' || right.value === null) return null;
  const values = op === 'IN' ? right.value : op === '=' || op === 'IS' ? [right.value] : null;
  if (!Array.isArray(values)) return null;
  return {
    column: left.name,
    values: values.map(value => (typeof value === 'boolean' ? Number(value) : (value as SqliteValue))),
  };
};
