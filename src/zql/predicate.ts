import type {SqliteValue, TableSpec} from '../replica/table-spec.ts';
import type {Condition, SimpleCondition} from './ast.ts';
import {compareValues} from './compare.ts';
import {likeToRegExp, lowerCase} from './like.ts';
import type {NodePlan} from './plan.ts';

/** A row as SQLite stores it. */
export type StoredRow = Readonly<Record<string, SqliteValue>>;
export type Predicate = (row: StoredRow) => boolean;

const ALWAYS: Predicate = () => true;

/**
 * The part of a condition that a row alone decides, every EXISTS taken for true: a superset of the rows that match. Spares
 * SQLite the changes that cannot concern a node. The condition must have been compiled to SQL, which checks its types.
 */
export const compileSuperset = (condition: Condition | undefined, table: TableSpec): Predicate => {
  if (!condition || condition.type === 'correlatedSubquery') return ALWAYS;
  if (condition.type === 'simple') return compileSimple(condition, table);
  const parts = condition.conditions.map(part => compileSuperset(part, table));
  return condition.type === 'and'
    ? row => parts.every(part => part(row))
    : row => parts.some(part => part(row));
};

/**
 * Columns of a level's own table on which depends whether a row matches and where it belongs: those of its condition, its
 * correlation, its order, and those its EXISTS look up. If a change leaves them alone, only the contents of a row change.
 */
export const decisiveColumns = (node: NodePlan): readonly string[] => {
  const columns = new Set<string>(node.childField);
  for (const child of node.exists) for (const name of child.parentField) columns.add(name);
  const visit = (condition: Condition | undefined) => {
    if (!condition || condition.type === 'correlatedSubquery') return;
    if (condition.type !== 'simple') condition.conditions.forEach(visit);
    else if (condition.left.type === 'column') columns.add(condition.left.name);
  };
  visit(node.where);
  if (node.limit !== null || node.start) for (const [name] of node.order) columns.add(name);
  return [...columns];
};

const stored = (value: unknown): SqliteValue =>
  typeof value === 'boolean' ? Number(value) : (value as SqliteValue);

const compileSimple = ({left, op, right}: SimpleCondition, table: TableSpec): Predicate => {
  if (left.type !== 'column' || right.type === 'static') return ALWAYS;
  const {name} = left;
  const type = table.columns.find(column => column.name === name)?.zqlType;
  // A literal of another type equals nothing, though `true` and `1` are stored alike: SQLite decides.
  if (right.value !== null && [right.value].flat().some(value => typeof value !== type)) return ALWAYS;
  if (op === 'IS' || op === 'IS NOT') {
    const wanted = stored(right.value);
    return op === 'IS' ? row => row[name] === wanted : row => row[name] !== wanted;
  }
  if (right.value === null) return () => false;
  if (op === 'IN' || op === 'NOT IN') {
    const values = new Set((right.value as readonly unknown[]).map(stored));
    return row => row[name] !== null && values.has(row[name]!) === (op === 'IN');
  }
  if (op.endsWith('LIKE')) {
    const ignoreCase = op.endsWith('ILIKE');
    const pattern = likeToRegExp(String(right.value), ignoreCase);
    const wanted = !op.startsWith('NOT');
    return row => {
      const value = row[name];
      return typeof value === 'string' && pattern.test(ignoreCase ? lowerCase(value) : value) === wanted;
    };
  }
  const wanted = stored(right.value);
  const test = COMPARISONS[op];
  return row => {
    const value = row[name]!;
    return value !== null && (test === undefined || test(compareValues(value, wanted)));
  };
};

const COMPARISONS: Readonly<Record<string, (order: number) => boolean>> = {
  '=': order => order === 0,
  '!=': order => order !== 0,
  '<': order => order < 0,
  '<=': order => order <= 0,
  '>': order => order > 0,
  '>=': order => order >= 0,
};
