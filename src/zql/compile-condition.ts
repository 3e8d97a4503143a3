import {PipelineBug, QueryError} from '../errors.ts';
import {ident} from '../pg/identifier.ts';
import type {ColumnSpec, SqliteValue} from '../replica/table-spec.ts';
import {valueText} from '../replica/value-text.ts';
import type {Condition, LiteralValue, SimpleCondition} from './ast.ts';
import {FALSE, type Fragment, fragment, join, TRUE, wrap} from './fragment.ts';
import {checkPattern, likeToRegExp, lowerCase} from './like.ts';
import {columnOf, comparable, hasIndexOn, type NodePlan} from './plan.ts';

type Scalar = string | number | boolean;

/** How the rows of a condition are to be found. */
export interface Access {
  /** EXISTS children whose keys are listed first, `p.k IN (SELECT …)`; the others are probed for each row. */
  readonly flipped: ReadonlySet<NodePlan>;
  /** Of `flipped`: those that only test rows found by other means. */
  readonly tested: ReadonlySet<NodePlan>;
  /** Columns of the node's own table whose indexes must not be used. */
  readonly unindexed: ReadonlySet<string>;
  /** Count the rows that are looked at, by node. */
  readonly counted?: boolean;
}

/** Every EXISTS probed by key. */
export const PROBE: Access = {flipped: new Set(), tested: new Set(), unindexed: new Set()};

/**
 * For rows that are found by their keys: EXISTS is probed for each, but where a probe would read the whole child table
 * its keys are listed once.
 */
export const probeAccess = (node: NodePlan): Access => {
  const listed = new Set<NodePlan>();
  const visit = (parent: NodePlan) => {
    for (const child of parent.exists) {
      if (!hasIndexOn(child.table, child.childField)) listed.add(child);
      visit(child);
    }
  };
  visit(node);
  return listed.size ? {flipped: listed, tested: listed, unindexed: PROBE.unindexed} : PROBE;
};

/**
 * `where` of a node as SQL over the table alias `alias`, EXISTS included. Truth is two-valued: unknown is false, as in a
 * positive WHERE (zql.md §1.2, §4.2). Literals are bound, so that queries differing in them share their text.
 * @throws QueryError for an operand of the wrong type.
 */
export const compileWhere = (node: NodePlan, alias: string, access: Access = PROBE): Fragment => {
  let nextExists = 0;
  const compile = (condition: Condition): Fragment => {
    switch (condition.type) {
      case 'and':
      case 'or': {
        const parts = condition.conditions.map(compile);
        if (parts.length === 0) return condition.type === 'and' ? TRUE : FALSE;
        return joinBalanced(parts, condition.type === 'and' ? ' AND ' : ' OR ');
      }
      case 'correlatedSubquery': {
        const child = node.exists[nextExists++];
        if (!child) throw new PipelineBug('an EXISTS without its node');
        const test = access.flipped.has(child)
          ? compileMembership(child, alias, access)
          : compileExists(child, alias, access);
        if (condition.op === 'EXISTS') return test;
        // A null key is in no list, and SQL would not know.
        return access.flipped.has(child) ? wrap('NOT COALESCE(', test, ', 0)') : wrap('NOT ', test, '');
      }
      case 'simple':
        return compileSimple(node, condition, alias, access.unindexed);
    }
  };
  const where = node.where ? compile(node.where) : TRUE;
  return access.counted ? wrap(`zs_visit(${node.index} + 0 * ${alias}.rowid) AND `, where, '') : where;
};

/** To SQLite each OR of a row of them is a level, and it takes 1,000. */
const MAX_IN_A_ROW = 200;

const joinBalanced = (parts: readonly Fragment[], operator: string): Fragment => {
  if (parts.length <= MAX_IN_A_ROW) return wrap('(', join(parts, operator), ')');
  const half = parts.length >> 1;
  return joinBalanced(
    [joinBalanced(parts.slice(0, half), operator), joinBalanced(parts.slice(half), operator)],
    operator,
  );
};

/** `EXISTS (…)` of a child for a row of its parent. Null keys match nothing, as SQL's `=` has it. */
const compileExists = (child: NodePlan, parentAlias: string, access: Access): Fragment => {
  if (child.limit === 0) return FALSE;
  const alias = `${parentAlias}x${child.index}`;
  const correlation = child.childField.map(
    (field, i) => `${alias}.${ident(field)} = ${parentAlias}.${ident(child.parentField[i]!)}`,
  );
  return wrap(
    `EXISTS (SELECT 1 FROM ${ident(child.table.name)} ${alias} WHERE ${correlation.join(' AND ')} AND `,
    compileWhere(child, alias, {...access, unindexed: PROBE.unindexed}),
    ')',
  );
};

/** `key IN (SELECT …)`: SQLite lists the child's keys once. Equal to EXISTS where unknown counts as false. */
const compileMembership = (child: NodePlan, parentAlias: string, access: Access): Fragment => {
  if (child.limit === 0) return FALSE;
  const alias = `${parentAlias}x${child.index}`;
  const plus = access.tested.has(child) ? '+' : '';
  const keys = child.parentField.map(field => `${plus}${parentAlias}.${ident(field)}`);
  return wrap(
    `${keys.length > 1 ? `(${keys.join(', ')})` : keys[0]} IN (SELECT ${child.childField
      .map(field => `${alias}.${ident(field)}`)
      .join(', ')} FROM ${ident(child.table.name)} ${alias} WHERE `,
    compileWhere(child, alias, {...access, unindexed: PROBE.unindexed}),
    ')',
  );
};

const compileSimple = (
  node: NodePlan,
  {left, op, right}: SimpleCondition,
  alias: string,
  unindexed: ReadonlySet<string>,
): Fragment => {
  if (left.type === 'static' || right.type === 'static')
    throw new PipelineBug('a static parameter was not bound');
  if (left.type === 'literal') return constantTruth(left.value, op, right.value) ? TRUE : FALSE;
  const column = columnOf(node.table, left.name);
  // A unary plus keeps SQLite from using an index on the column.
  const sql = `${unindexed.has(left.name) ? '+' : ''}${alias}.${ident(left.name)}`;
  const {value} = right;
  if (op === 'IS' || op === 'IS NOT') {
    if (Array.isArray(value)) throw new QueryError(`${op} takes a single value, not a list.`);
    if (value === null) return fragment(`${sql} ${op} NULL`);
    comparable(node.table, left.name, 'compared');
    if (!fits(column, value as Scalar)) return op === 'IS' ? FALSE : TRUE;
    return fragment(`${sql} ${op} ?`, bind(value as Scalar));
  }
  if (value === null) return FALSE;
  comparable(node.table, left.name, 'compared');
  switch (op) {
    case 'IN':
    case 'NOT IN': {
      if (!Array.isArray(value)) throw new QueryError(`${op} takes a list of values.`);
      const values = (value as readonly Scalar[]).filter(item => fits(column, item)).map(bind);
      if (op === 'IN')
        return values.length
          ? fragment(`${sql} IN (SELECT value FROM json_each(?))`, listText(values))
          : FALSE;
      return values.length
        ? fragment(
            `(${sql} IS NOT NULL AND ${sql} NOT IN (SELECT value FROM json_each(?)))`,
            listText(values),
          )
        : fragment(`${sql} IS NOT NULL`);
    }
    case 'LIKE':
    case 'NOT LIKE':
    case 'ILIKE':
    case 'NOT ILIKE': {
      if (column.zqlType !== 'string' || typeof value !== 'string')
        throw new QueryError(
          `${op} needs a string column and a string pattern; "${node.table.name}.${left.name}" is ${column.zqlType}.`,
        );
      checkPattern(value);
      if (op === 'LIKE' || op === 'NOT LIKE') return fragment(`${sql} ${op} ? ESCAPE '\\'`, value);
      return fragment(
        `zs_lower(${alias}.${ident(left.name)}) ${op === 'ILIKE' ? 'LIKE' : 'NOT LIKE'} ? ESCAPE '\\'`,
        lowerCase(value),
      );
    }
    default: {
      if (Array.isArray(value)) throw new QueryError(`${op} takes a single value, not a list.`);
      const scalar = value as Scalar;
      if (fits(column, scalar)) return fragment(`${sql} ${op} ?`, bind(scalar));
      if (op === '=') return FALSE;
      if (op === '!=') return fragment(`${sql} IS NOT NULL`);
      throw new QueryError(
        `"${node.table.name}.${left.name}" is ${column.zqlType} and cannot be compared with a ${typeof scalar}.`,
      );
    }
  }
};

const listText = (values: readonly SqliteValue[]): string => `[${values.map(valueText).join()}]`;

const fits = (column: ColumnSpec, value: Scalar): boolean => typeof value === column.zqlType;

/** SQLite has no booleans; better-sqlite3 binds none. */
const bind = (value: Scalar): SqliteValue & (string | number) =>
  typeof value === 'boolean' ? Number(value) : value;

/** A condition between two literals, as permission rules with bound parameters give (zql.md §1.2). */
export const constantTruth = (
  left: LiteralValue['value'],
  op: SimpleCondition['op'],
  right: LiteralValue['value'],
): boolean => {
  if (op === 'IS') return left === right;
  if (op === 'IS NOT') return left !== right;
  if (left === null || right === null) return false;
  switch (op) {
    case '=':
      return left === right;
    case '!=':
      return left !== right;
    case 'IN':
      return Array.isArray(right) && right.includes(left as Scalar);
    case 'NOT IN':
      return Array.isArray(right) && !right.includes(left as Scalar);
    case 'LIKE':
    case 'NOT LIKE':
    case 'ILIKE':
    case 'NOT ILIKE': {
      if (typeof left !== 'string' || typeof right !== 'string') throw new QueryError(`${op} needs strings.`);
      checkPattern(right);
      const ignoreCase = op.endsWith('ILIKE');
      return (
        likeToRegExp(right, ignoreCase).test(ignoreCase ? lowerCase(left) : left) !== op.startsWith('NOT')
      );
    }
    default: {
      if (typeof left !== typeof right)
        throw new QueryError(`${op} cannot compare a ${typeof left} with a ${typeof right}.`);
      const order = left < right ? -1 : left > right ? 1 : 0;
      return op === '<' ? order < 0 : op === '<=' ? order <= 0 : op === '>' ? order > 0 : order >= 0;
    }
  }
};
