import {BadMutation} from '../errors.ts';
import {ident} from '../pg/identifier.ts';
import type {CrudOp} from '../protocol/up.ts';
import {toPgText} from './to-pg.ts';
import type {Statement} from './transaction.ts';
import {type UpstreamTable, upstreamColumn} from './upstream-tables.ts';

/** The statement of one operation; null if nothing is left to do (mutations-auth.md §3.4). @throws BadMutation */
export const crudStatement = (op: CrudOp, table: UpstreamTable): Statement | null => {
  const params = new Params(table);
  const key = op.primaryKey.map(ident).join(', ');
  const columns = Object.keys(op.value).filter(name => op.value[name] !== undefined);
  for (const name of op.primaryKey) checkKeyValue(name, op.value[name]);
  // Assigning key columns would take a row lock that blocks inserts referring to the row.
  const assigned = columns.filter(name => !op.primaryKey.includes(name));
  switch (op.op) {
    case 'insert':
    case 'upsert': {
      const values = columns.map(name => params.add(name, op.value[name]));
      const conflict =
        op.op === 'insert' || assigned.length === 0
          ? 'DO NOTHING'
          : `DO UPDATE SET ${assigned.map(name => `${ident(name)} = EXCLUDED.${ident(name)}`).join(', ')}`;
      return params.statement(
        `INSERT INTO ${table.sql} (${columns.map(ident).join(', ')}) VALUES (${values.join(', ')}) ON CONFLICT (${key}) ${conflict}`,
      );
    }
    case 'update': {
      if (assigned.length === 0) return null;
      const sets = assigned.map(name => `${ident(name)} = ${params.add(name, op.value[name])}`).join(', ');
      return params.statement(`UPDATE ${table.sql} SET ${sets} WHERE ${whereKey(op, params)}`);
    }
    case 'delete':
      return params.statement(`DELETE FROM ${table.sql} WHERE ${whereKey(op, params)}`);
  }
};

/** Nothing is found by NULL: a rule that looks for the row would find none, and let anything pass. @throws BadMutation */
const checkKeyValue = (name: string, value: CrudOp['value'][string] | undefined): void => {
  if (!['string', 'number', 'boolean'].includes(typeof value))
    throw new BadMutation(`A value for key column '${name}' is missing.`);
};

/** Collects parameters of a table's columns, each cast to its column's type. */
export class Params {
  readonly values: (string | null)[] = [];
  readonly #table: UpstreamTable;

  constructor(table: UpstreamTable) {
    this.#table = table;
  }

  add(column: string, value: CrudOp['value'][string] | undefined): string {
    const spec = upstreamColumn(this.#table, column);
    this.values.push(toPgText(value, spec));
    return `$${this.values.length}::${spec.sqlType}`;
  }

  statement(text: string): Statement {
    return {text, values: this.values};
  }
}

export const whereKey = (op: CrudOp, params: Params, alias = ''): string =>
  op.primaryKey
    .map(name => {
      checkKeyValue(name, op.value[name]);
      return `${alias}${ident(name)} = ${params.add(name, op.value[name])}`;
    })
    .join(' AND ');

/** Equal for operations on the same row, as far as their keys are written alike. */
export const rowKey = (op: CrudOp): string =>
  JSON.stringify([op.tableName, ...[...op.primaryKey].sort().map(name => [name, op.value[name]])]);
