import {Params, whereKey} from '../mutation/crud-sql.ts';
import type {Statement} from '../mutation/transaction.ts';
import type {UpstreamTables} from '../mutation/upstream-tables.ts';
import type {Queryable} from '../pg/queryable.ts';
import type {CrudOp} from '../protocol/up.ts';
import type {Condition} from '../zql/ast.ts';
import {bindCondition, type Claims} from './bind-static.ts';
import {RuleCompiler} from './compile-rule.ts';
import type {Asset, Permissions, Policy} from './permissions.ts';
import {simplify} from './read-permissions.ts';

type Phase = 'pre' | 'post';

export type OpKind = 'insert' | 'update' | 'delete';

/** Whether the policies that an operation meets in one phase let it through. */
export interface RuleCheck {
  readonly op: CrudOp;
  readonly kind: OpKind;
  readonly phase: Phase;
  readonly permissions: Permissions;
  readonly claims: Claims;
}

/** A test of one row: it holds for no row, or for those whose `rule` is true. */
interface RowTest {
  readonly rule: string;
  /** FROM and WHERE that find the row. */
  readonly row: string;
  readonly values: (string | null)[];
}

/**
 * Decides write rules by what PostgreSQL holds, inside the mutation's own transaction: before its statements for updates
 * and deletes, after them for inserts and updates (mutations-auth.md §4.2).
 */
export class WritePermissions {
  readonly #tables: UpstreamTables;

  constructor(tables: UpstreamTables) {
    this.#tables = tables;
  }

  /** True if anyone may do it: there is nothing to test, before or after. */
  open({op, tableName}: CrudOp, permissions: Permissions): boolean {
    const rules = permissions.tables[tableName];
    if (Object.keys(rules?.cell ?? {}).length) return false;
    const row = rules?.row;
    const updates = () => isOpen(row?.update?.preMutation) && isOpen(row?.update?.postMutation);
    if (op === 'upsert') return isOpen(row?.insert) && updates();
    return op === 'update' ? updates() : isOpen(row?.[op]);
  }

  /** What an operation is for the rules: an upsert of an existing row is an update. */
  async kindOf(client: Queryable, op: CrudOp, permissions: Permissions): Promise<OpKind> {
    if (op.op !== 'upsert') return op.op;
    if (this.open(op, permissions)) return 'insert';
    const table = await this.#tables.get(client, op.tableName);
    const params = new Params(table);
    const {rowCount} = await client.query({
      text: `SELECT 1 FROM ${table.sql} WHERE ${whereKey(op, params)}`,
      values: params.values,
    });
    return rowCount ? 'update' : 'insert';
  }

  /**
   * True if every policy that the operation meets in this phase lets it through. A row that is not there harms nobody,
   * but one that was inserted must be found: a trigger may have put it elsewhere.
   */
  async allows(client: Queryable, check: RuleCheck): Promise<boolean> {
    const test = await this.#test(client, check);
    if (test === 'denied') return false;
    if (!test) return true;
    const {rows} = await client.query<{allowed: boolean}>({
      text: `SELECT (${test.rule}) IS TRUE AS allowed ${test.row}`,
      values: test.values,
    });
    return rows.every(({allowed}) => allowed) && (check.kind !== 'insert' || rows.length > 0);
  }

  /** The same as a statement that fails (division by zero) where `allows` is false; null if there is nothing to test. */
  async assertion(client: Queryable, check: RuleCheck): Promise<Statement | 'denied' | null> {
    const test = await this.#test(client, check);
    if (test === 'denied' || !test) return test;
    const {rule, row, values} = test;
    const text =
      check.kind === 'insert'
        ? `SELECT 1 / count(*) ${row} AND (${rule}) IS TRUE`
        : `SELECT 1 / (CASE WHEN (${rule}) IS TRUE THEN 1 ELSE 0 END) ${row}`;
    return {text, values};
  }

  async #test(
    client: Queryable,
    {op, kind, phase, permissions, claims}: RuleCheck,
  ): Promise<RowTest | 'denied' | null> {
    const rules = permissions.tables[op.tableName];
    // Without a rule there is nothing to wait for: a forbidden table is not even looked at.
    if (kind === 'insert' && !rules?.row?.insert?.length) return 'denied';
    if (phase === 'pre' ? kind === 'insert' : kind === 'delete') return null;
    const row = policyOf(rules?.row, kind, phase);
    if (!row?.length) return 'denied';
    const policies = [row];
    for (const [column, asset] of Object.entries(rules?.cell ?? {})) {
      const policy = policyOf(asset, kind, phase);
      if (policy && (kind !== 'update' || op.value[column] !== undefined)) policies.push(policy);
    }
    const conditions = policies
      .filter(policy => !isOpen(policy))
      .map(
        (policy): Condition => ({
          type: 'or',
          conditions: policy.map(([, rule]) => bindCondition(rule, claims)),
        }),
      );
    if (conditions.length === 0) return null;
    const table = await this.#tables.get(client, op.tableName);
    const params = new Params(table);
    const where = whereKey(op, params, 't.');
    const compiler = new RuleCompiler(client, this.#tables, params.values);
    const rule = await compiler.condition({type: 'and', conditions}, table, 't');
    return {rule, row: `FROM ${table.sql} t WHERE ${where}`, values: compiler.values};
  }
}

const policyOf = (asset: Asset | undefined, kind: OpKind, phase: Phase): Policy | undefined =>
  kind === 'update'
    ? phase === 'pre'
      ? asset?.update?.preMutation
      : asset?.update?.postMutation
    : asset?.[kind];

const openPolicies = new WeakMap<Policy, boolean>();

/** True if the policy lets everyone do everything, whoever it is and whatever the row holds. */
const isOpen = (policy: Policy | undefined): boolean => {
  if (!policy?.length) return false;
  let open = openPolicies.get(policy);
  if (open === undefined) {
    const condition = simplify({type: 'or', conditions: policy.map(([, rule]) => rule)});
    openPolicies.set(policy, (open = condition.type === 'and' && condition.conditions.length === 0));
  }
  return open;
};
