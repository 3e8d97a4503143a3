import type {AST, Condition, CorrelatedSubquery, Ordering, SimpleCondition} from '../../src/zql/ast.ts';
import type {TestRow, TestTable} from '../helpers/test-replica.ts';

/** The whole database as arrays of rows in wire form, by table. */
export type Data = ReadonlyMap<string, readonly TestRow[]>;

/** A row at a level of a query, by the meaning of ZQL alone: no SQL, no indexes, no state (zql.md §1). */
export interface Level {
  readonly ast: AST;
  readonly rows: readonly TestRow[];
}

const codePoints = (text: string): number[] => Array.from(text, c => c.codePointAt(0)!);

export const compareWire = (a: unknown, b: unknown): number => {
  if (a === b) return 0;
  if (a === null || a === undefined) return b === null || b === undefined ? 0 : -1;
  if (b === null || b === undefined) return 1;
  if (typeof a === 'string' && typeof b === 'string') {
    const x = codePoints(a);
    const y = codePoints(b);
    for (let i = 0; i < x.length && i < y.length; i++) if (x[i] !== y[i]) return x[i]! - y[i]!;
    return x.length - y.length;
  }
  return Number(a) - Number(b);
};

/** A matcher by recursion, unlike the engine's. */
const like = (text: readonly number[], pattern: readonly number[]): boolean => {
  if (pattern.length === 0) return text.length === 0;
  const [head, ...rest] = pattern;
  if (head === 0x25) {
    for (let i = 0; i <= text.length; i++) if (like(text.slice(i), rest)) return true;
    return false;
  }
  if (text.length === 0) return false;
  if (head === 0x5f) return like(text.slice(1), rest);
  if (head === 0x5c) return text[0] === rest[0] && like(text.slice(1), rest.slice(1));
  return text[0] === head && like(text.slice(1), rest);
};

const lower = (text: string): string => Array.from(text, c => c.toLowerCase()).join('');

const simple = ({left, op, right}: SimpleCondition, row: TestRow): boolean => {
  if (left.type === 'static' || right.type === 'static') throw new Error('unbound');
  const a = (left.type === 'column' ? row[left.name] : left.value) ?? null;
  const b = right.value;
  if (op === 'IS') return a === b;
  if (op === 'IS NOT') return a !== b;
  if (a === null || b === null) return false;
  switch (op) {
    case '=':
      return a === b;
    case '!=':
      return a !== b;
    case 'IN':
      return (b as readonly unknown[]).includes(a);
    case 'NOT IN':
      return !(b as readonly unknown[]).includes(a);
    case '<':
      return compareWire(a, b) < 0;
    case '<=':
      return compareWire(a, b) <= 0;
    case '>':
      return compareWire(a, b) > 0;
    case '>=':
      return compareWire(a, b) >= 0;
    default: {
      const fold = op.endsWith('ILIKE') ? lower : (text: string) => text;
      return like(codePoints(fold(String(a))), codePoints(fold(String(b)))) !== op.startsWith('NOT');
    }
  }
};

export class Naive {
  readonly #data: Data;
  readonly #tables: ReadonlyMap<string, TestTable>;

  constructor(data: Data, tables: ReadonlyMap<string, TestTable>) {
    this.#data = data;
    this.#tables = tables;
  }

  keyOf(table: string): readonly string[] {
    return this.#tables.get(table)!.key;
  }

  holds(condition: Condition | undefined, row: TestRow): boolean {
    if (!condition) return true;
    switch (condition.type) {
      case 'simple':
        return simple(condition, row);
      case 'and':
        return condition.conditions.every(part => this.holds(part, row));
      case 'or':
        return condition.conditions.some(part => this.holds(part, row));
      case 'correlatedSubquery': {
        const {related, op} = condition;
        const any = related.subquery.limit !== 0 && this.matches(related, row).length > 0;
        return any === (op === 'EXISTS');
      }
    }
  }

  /** All rows of the child that belong to a parent row and match, whatever the limit; unordered. */
  matches({correlation, subquery}: CorrelatedSubquery, parent: TestRow): TestRow[] {
    const {parentField, childField} = correlation;
    return this.#data.get(subquery.table)!.filter(
      row =>
        childField.every((name, i) => {
          const value = row[name] ?? null;
          return value !== null && value === (parent[parentField[i]!] ?? null);
        }) && this.holds(subquery.where, row),
    );
  }

  /** The window of a root or related level for one key. */
  window(ast: AST, related: CorrelatedSubquery | null, parent: TestRow | null): TestRow[] {
    const rows = related
      ? this.matches(related, parent!)
      : this.#data.get(ast.table)!.filter(row => this.holds(ast.where, row));
    const order = this.order(ast);
    const compare = (a: TestRow, b: TestRow): number => {
      for (const [name, direction] of order) {
        const by = compareWire(a[name], b[name]);
        if (by !== 0) return direction === 'asc' ? by : -by;
      }
      return 0;
    };
    const {start} = ast;
    const after = start
      ? rows.filter(row => (start.exclusive ? compare(row, start.row) > 0 : compare(row, start.row) >= 0))
      : rows;
    return after.sort(compare).slice(0, ast.limit ?? Number.POSITIVE_INFINITY);
  }

  order(ast: AST): Ordering {
    const order = [...(ast.orderBy ?? [])];
    for (const name of this.#tables.get(ast.table)!.key)
      if (!order.some(([column]) => column === name)) order.push([name, 'asc']);
    return order;
  }
}

/** EXISTS and NOT EXISTS of a condition. */
const subqueries = function* (
  condition: Condition | undefined,
): Generator<Extract<Condition, {type: 'correlatedSubquery'}>> {
  if (!condition) return;
  if (condition.type === 'correlatedSubquery') yield condition;
  else if (condition.type !== 'simple') for (const part of condition.conditions) yield* subqueries(part);
};

const related = (ast: AST): CorrelatedSubquery[] => {
  const last = new Map<string, CorrelatedSubquery>();
  for (const child of ast.related ?? []) last.set(child.subquery.alias ?? child.subquery.table, child);
  return [...last.values()].filter(child => child.system !== 'permissions');
};

/** Do literals hold a unique key, so that a `scalar` subquery stands for one row and that row is synced by itself? */
const isCompanion = (
  {scalar, related}: Extract<Condition, {type: 'correlatedSubquery'}>,
  key: readonly string[],
): boolean => {
  const parts = (condition: Condition | undefined): Condition[] =>
    condition?.type === 'and' ? condition.conditions.flatMap(parts) : condition ? [condition] : [];
  const pinned = parts(related.subquery.where).flatMap(part =>
    part.type === 'simple' &&
    part.op === '=' &&
    part.left.type === 'column' &&
    part.right.type === 'literal' &&
    part.right.value !== null
      ? [part.left.name]
      : [],
  );
  return (
    scalar === true &&
    related.system !== 'permissions' &&
    related.correlation.childField.length === 1 &&
    related.subquery.limit !== 0 &&
    key.every(name => pinned.includes(name))
  );
};

/** What a set of rows lacks, or holds without reason, for a query; null if it is a right answer (zql.md §1.10). */
export const fault = (
  ast: AST,
  naive: Naive,
  idOf: (table: string, row: TestRow) => string,
  held: ReadonlySet<string>,
): string | null => {
  const allowed = new Set<string>();
  const isAlone = (condition: Extract<Condition, {type: 'correlatedSubquery'}>) =>
    isCompanion(condition, naive.keyOf(condition.related.subquery.table));
  /** Subqueries whose rows are synced as witnesses of a row. */
  const exists = (condition: Condition | undefined) =>
    [...subqueries(condition)]
      .filter(part => part.related.system !== 'permissions' && !isAlone(part))
      .map(part => part.related);
  /** Rows that may be there: any witness, and what belongs to the witnesses held. */
  const allow = (level: AST, row: TestRow) => {
    allowed.add(idOf(level.table, row));
    for (const child of related(level))
      for (const found of naive.window(child.subquery, child, row)) allow(child.subquery, found);
    for (const child of exists(level.where))
      if (child.subquery.limit !== 0)
        for (const found of naive.matches(child, row))
          if (held.has(idOf(child.subquery.table, found))) allow(child.subquery, found);
  };
  /** What is missing below a present row. */
  const missing = (level: AST, row: TestRow): string | null => {
    const id = idOf(level.table, row);
    if (!held.has(id)) return id;
    for (const child of related(level))
      for (const found of naive.window(child.subquery, child, row)) {
        const lack = missing(child.subquery, found);
        if (lack) return lack;
      }
    for (const child of exists(level.where)) {
      if (child.subquery.limit === 0) continue;
      const found = naive.matches(child, row);
      const lacks = found.map(witness => missing(child.subquery, witness));
      const complete = lacks.filter(lack => lack === null).length;
      if (complete < Math.min(3, found.length)) return `a witness below ${id}: ${lacks.find(Boolean)}`;
    }
    return null;
  };
  const roots = [ast];
  const collect = (level: AST) => {
    for (const condition of subqueries(level.where)) {
      if (condition.related.system === 'permissions') continue;
      if (isAlone(condition)) {
        const {table, where} = condition.related.subquery;
        roots.push({table, ...(where && {where})});
      }
      collect(condition.related.subquery);
    }
    for (const child of related(level)) collect(child.subquery);
  };
  collect(ast);
  for (const root of roots)
    for (const row of naive.window(root, null, null)) {
      const lack = missing(root, row);
      if (lack) return `missing: ${lack}`;
      allow(root, row);
    }
  for (const id of held) if (!allowed.has(id)) return `held without reason: ${id}`;
  return null;
};
