import {BadMutation} from '../errors.ts';
import {type UpstreamTable, type UpstreamTables, upstreamColumn} from '../mutation/upstream-tables.ts';
import {ident} from '../pg/identifier.ts';
import type {Queryable} from '../pg/queryable.ts';
import type {AST, Condition, SimpleCondition} from '../zql/ast.ts';
import {constantTruth} from '../zql/compile-condition.ts';
import {checkPattern} from '../zql/like.ts';

type Scalar = string | number | boolean;
/** What clients see of a column; json is never compared. */
type WireType = 'string' | 'number' | 'boolean' | 'json';

/**
 * Rules as PostgreSQL SQL, with values compared as the wire shows them and with the outcomes that queries on the replica
 * have (zql.md §1.2): unknown is false, and a value of another type equals nothing. Literals are collected in `values`.
 */
export class RuleCompiler {
  readonly values: (string | null)[];
  readonly #client: Queryable;
  readonly #tables: UpstreamTables;
  #aliases = 0;

  constructor(client: Queryable, tables: UpstreamTables, values: (string | null)[]) {
    this.#client = client;
    this.#tables = tables;
    this.values = values;
  }

  /** Parameters must have been bound. @throws BadMutation for an unknown table or column, or an operand that cannot be compared. */
  async condition(condition: Condition, table: UpstreamTable, alias: string): Promise<string> {
    switch (condition.type) {
      case 'and':
      case 'or': {
        if (condition.conditions.length === 0) return condition.type === 'and' ? 'true' : 'false';
        const parts: string[] = [];
        for (const part of condition.conditions) parts.push(await this.condition(part, table, alias));
        return `(${parts.join(condition.type === 'and' ? ' AND ' : ' OR ')})`;
      }
      case 'correlatedSubquery': {
        const {correlation, subquery} = condition.related;
        const test = await this.#exists(subquery, correlation, alias);
        return condition.op === 'EXISTS' ? test : `NOT ${test}`;
      }
      case 'simple':
        return this.#simple(condition, table, alias);
    }
  }

  async #exists(
    ast: AST,
    {parentField, childField}: {parentField: readonly string[]; childField: readonly string[]},
    parent: string,
  ): Promise<string> {
    if (ast.limit === 0) return 'false';
    const table = await this.#tables.get(this.#client, ast.table);
    const alias = `x${this.#aliases++}`;
    for (const name of childField) upstreamColumn(table, name);
    const join = childField.map((name, i) => `${alias}.${ident(name)} = ${parent}.${ident(parentField[i]!)}`);
    const where = ast.where ? await this.condition(ast.where, table, alias) : 'true';
    return `EXISTS (SELECT 1 FROM ${table.sql} ${alias} WHERE ${join.join(' AND ')} AND ${where})`;
  }

  #simple({left, op, right}: SimpleCondition, table: UpstreamTable, alias: string): string {
    const value = right.type === 'literal' ? right.value : null;
    if (left.type !== 'column')
      return String(constantTruth(left.type === 'literal' ? left.value : null, op, value));
    const {sql, type} = wireColumn(table, left.name, alias);
    if (op === 'IS' || op === 'IS NOT') {
      if (value === null) return `${alias}.${ident(left.name)} ${op} NULL`;
      if (Array.isArray(value) || typeof value !== type) return String(op === 'IS NOT');
      const distinct = op === 'IS' ? 'IS NOT DISTINCT FROM' : 'IS DISTINCT FROM';
      return `${sql} ${distinct} ${this.#literal(value as Scalar)}`;
    }
    if (value === null) return 'false';
    if (type === 'json') throw new BadMutation(`Column '${left.name}' holds JSON, which is not compared.`);
    if (op === 'IN' || op === 'NOT IN') {
      const items = (Array.isArray(value) ? value : []).filter(item => typeof item === type);
      if (items.length === 0) return op === 'IN' ? 'false' : `${sql} IS NOT NULL`;
      return `${sql} ${op} (${items.map(item => this.#literal(item as Scalar)).join(', ')})`;
    }
    if (op.endsWith('LIKE')) {
      if (type !== 'string' || typeof value !== 'string')
        throw new BadMutation(`${op} needs a string column and a string pattern.`);
      checkPattern(value);
      // The case of letters is that of the database's own collation.
      return `${alias}.${ident(left.name)}::text ${op} ${this.#parameter(value)}::text`;
    }
    if (Array.isArray(value)) throw new BadMutation(`${op} takes a single value, not a list.`);
    if (typeof value === type) return `${sql} ${op} ${this.#literal(value as Scalar)}`;
    if (op === '=') return 'false';
    if (op === '!=') return `${sql} IS NOT NULL`;
    throw new BadMutation(`Column '${left.name}' cannot be compared with a ${typeof value}.`);
  }

  #literal(value: Scalar): string {
    const type = typeof value === 'number' ? 'float8' : typeof value === 'boolean' ? 'boolean' : 'text';
    return `${this.#parameter(String(value))}::${type}${type === 'text' ? ' COLLATE "C"' : ''}`;
  }

  #parameter(value: string): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }
}

/** A column as a value of the type that clients see. */
const wireColumn = (
  table: UpstreamTable,
  name: string,
  alias: string,
): {readonly sql: string; readonly type: WireType} => {
  const {typname, isArray} = upstreamColumn(table, name);
  const sql = `${alias}.${ident(name)}`;
  if (isArray || /^jsonb?$/.test(typname)) return {sql, type: 'json'};
  if (typname === 'bool') return {sql, type: 'boolean'};
  if (/^(int[248]|float[48]|numeric)$/.test(typname)) return {sql: `${sql}::float8`, type: 'number'};
  if (/^(date|timestamp|timestamptz)$/.test(typname))
    return {sql: `(extract(epoch FROM ${sql}) * 1000)::float8`, type: 'number'};
  if (typname === 'time') return {sql: `(extract(epoch FROM ${sql}) * 1000)::float8`, type: 'number'};
  if (typname === 'timetz')
    return {sql: `(extract(epoch FROM (${sql} AT TIME ZONE 'UTC')::time) * 1000)::float8`, type: 'number'};
  return {sql: `${sql}::text COLLATE "C"`, type: 'string'};
};
