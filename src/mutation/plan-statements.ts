import type {Permissions} from '../auth/permissions.ts';
import type {WritePermissions} from '../auth/write-permissions.ts';
import type {Queryable} from '../pg/queryable.ts';
import {crudStatement, rowKey} from './crud-sql.ts';
import type {Statement} from './transaction.ts';
import type {MutationRequest} from './types.ts';
import type {UpstreamTables} from './upstream-tables.ts';

/** A mutation as statements alone. */
export interface Plan {
  readonly statements: readonly Statement[];
  /** True if rules are among them: they fail when a rule says no. */
  readonly guarded: boolean;
}

/**
 * Writes a mutation as statements that can be sent without waiting for answers: rules as tests that fail. Null if what
 * is to be done depends on an answer: an upsert under rules is judged as insert or update by whether the row exists, and
 * a row that two operations of one mutation touch is judged in between.
 * @throws BadMutation
 */
export const planStatements = async (
  client: Queryable,
  {mutation, claims}: MutationRequest,
  tables: UpstreamTables,
  rules: WritePermissions,
  permissions: Permissions,
): Promise<Plan | null> => {
  const {ops} = mutation.args[0];
  const before: Statement[] = [];
  const writes: Statement[] = [];
  const after: Statement[] = [];
  const touched = new Set<string>();
  for (const op of ops) {
    const open = rules.open(op, permissions);
    if (!open) {
      const row = rowKey(op);
      if (op.op === 'upsert' || touched.has(row)) return null;
      touched.add(row);
      for (const [phase, list] of [
        ['pre', before],
        ['post', after],
      ] as const) {
        const test = await rules.assertion(client, {op, kind: op.op, phase, permissions, claims});
        if (test === 'denied') return null;
        if (test) list.push(test);
      }
    } else if (ops.length > 1) touched.add(rowKey(op));
    const statement = crudStatement(op, await tables.get(client, op.tableName));
    if (statement) writes.push(statement);
  }
  return {statements: [...before, ...writes, ...after], guarded: before.length + after.length > 0};
};
