import {ident} from '../pg/identifier.ts';
import type {Version} from '../pg/lsn.ts';
import type {Snapshot} from '../replica/snapshots.ts';
import {type SqliteValue, VERSION_COLUMN} from '../replica/table-spec.ts';
import {compileWhere} from '../zql/compile-condition.ts';
import {compileOrder, compileStart} from '../zql/compile-order.ts';
import {type Fragment, join} from '../zql/fragment.ts';
import {emittedChildren, type NodePlan} from '../zql/plan.ts';
import {inTuples, keyJson, rowJson, tupleJson, tupleList} from '../zql/wire-sql.ts';
import type {PresentRow} from './registry.ts';
import type {RowId} from './row-id.ts';

/** A row present at a node. */
export interface NodeRow {
  readonly row: PresentRow;
  /** Its own correlation key (`[]` at the root) and the key it demands of each emitted child; null = none. */
  readonly key: string;
  readonly childKeys: readonly (string | null)[];
}

/** The one key of a root. */
export const ROOT_KEY = '[]';

/**
 * The statements of one node, compiled once: all present rows of some keys, or those of some touched rows. Whatever
 * decides presence runs inside SQLite; JS sees one text per row (zql.md §4.1).
 */
export class NodeSql {
  readonly #plan: NodePlan;
  readonly #where: Fragment;
  readonly #byKeys: string;
  readonly #byIdentity: string;
  readonly #parents: ReadonlyMap<NodePlan, string>;

  /** @throws QueryError if a condition does not fit its columns. */
  constructor(plan: NodePlan) {
    this.#plan = plan;
    const alias = plan.limit !== null && plan.role !== 'root' ? 'i' : 't';
    this.#where = join([compileWhere(plan, alias), compileStart(plan, alias)], ' AND ');
    this.#byKeys = this.#compileByKeys();
    const touched = compileWhere(plan, 't');
    const start = compileStart(plan, 't');
    this.#byIdentity = `${select(plan)} FROM ${ident(plan.table.name)} t WHERE ${inTuples(plan.key, 't')} AND ${touched.sql} AND ${start.sql}`;
    this.#parents = new Map(
      plan.exists.map(child => [
        child,
        `SELECT ${tupleJson(plan.table, plan.key, 't')}, ${tupleJson(plan.table, plan.childField.length ? plan.childField : plan.key, 't')}
         FROM ${ident(plan.table.name)} t WHERE ${inTuples(child.parentField, 't')}`,
      ]),
    );
  }

  /** For `inspect-pipeline`. */
  get text(): string {
    return this.#byKeys;
  }

  /** All rows present for the keys (one key, `ROOT_KEY`, at the root). */
  ofKeys(
    snapshot: Snapshot,
    keys: Iterable<string>,
  ): {rows: NodeRow[]; bound: readonly SqliteValue[] | null} {
    const {role, limit} = this.#plan;
    if (limit === 0) return {rows: [], bound: null};
    // The keys come first in both texts, the plain and the lateral one.
    const params = role === 'root' ? this.#where.params : [tupleList(keys), ...this.#where.params];
    const raw = this.#raw(snapshot, this.#byKeys, params);
    return {rows: this.#rows(raw), bound: role === 'root' && limit !== null ? bound(raw.at(-1)) : null};
  }

  /** Which of the touched rows (identity tuples) match now, whatever their key and whether or not inside a window. */
  ofIdentities(snapshot: Snapshot, identities: Iterable<string>): NodeRow[] {
    return this.#rows(this.#raw(snapshot, this.#byIdentity, [tupleList(identities), ...this.#where.params]));
  }

  /** Identity and correlation key of the rows whose truth may depend on the given keys of an EXISTS child. */
  parentsOf(
    snapshot: Snapshot,
    child: NodePlan,
    keys: Iterable<string>,
  ): {identity: string; key: string | null}[] {
    const rows = snapshot.prepare(this.#parents.get(child)!).raw().all(tupleList(keys)) as [
      string,
      string | null,
    ][];
    return rows.map(([identity, key]) => ({identity, key: this.#plan.role === 'root' ? ROOT_KEY : key}));
  }

  #compileByKeys(): string {
    const {table, childField, limit, role} = this.#plan;
    const name = ident(table.name);
    const order = compileOrder(this.#plan, role === 'root' || limit === null ? 't' : 'i');
    if (role === 'root')
      return `${select(this.#plan)} FROM ${name} t WHERE ${this.#where.sql}${limit === null ? '' : `${order} LIMIT ${limit}`}`;
    if (limit === null)
      return `${select(this.#plan)} FROM ${name} t WHERE ${inTuples(childField, 't')} AND ${this.#where.sql}`;
    // Per key the first rows only: SQLite walks `limit` index entries per key instead of reading all children.
    const correlation = childField.map((field, i) => `i.${ident(field)} = k.value->>${i}`).join(' AND ');
    return `${select(this.#plan)} FROM json_each(?) k JOIN ${name} t ON t.rowid IN
      (SELECT i.rowid FROM ${name} i WHERE ${correlation} AND ${this.#where.sql}${order} LIMIT ${limit})`;
  }

  #raw(snapshot: Snapshot, sql: string, params: readonly SqliteValue[]): RawRow[] {
    return snapshot.prepare(sql).raw().all(params) as RawRow[];
  }

  #rows(raw: readonly RawRow[]): NodeRow[] {
    const {table} = this.#plan;
    const minVersion = table.minRowVersion;
    const prefix = `${table.name}\0`;
    return raw.map(([, put, version, keyText, key, ...childKeys]) => ({
      row: {
        id: (prefix + keyText!) as RowId,
        table: table.name,
        rowVersion: (version! > minVersion ? version! : minVersion) as Version,
        put: put!,
      },
      key: key!,
      childKeys,
    }));
  }
}

/** Order columns as JSON (null unless a root window), row, version, identity, own key, key per emitted child. */
type RawRow = (string | null)[];

const bound = (last: RawRow | undefined): readonly SqliteValue[] | null =>
  last?.[0] ? (JSON.parse(last[0]) as SqliteValue[]) : null;

const select = (plan: NodePlan): string => {
  const {table, key, childField} = plan;
  const children = emittedChildren(plan).map(child => tupleJson(table, child.parentField, 't'));
  const own = childField.length ? tupleJson(table, childField, 't') : `'${ROOT_KEY}'`;
  const order =
    plan.role === 'root' && plan.limit !== null
      ? `json_array(${plan.order.map(([name]) => `t.${ident(name)}`).join(', ')})`
      : 'NULL';
  return `SELECT ${[order, rowJson(table, 't'), `COALESCE(t.${ident(VERSION_COLUMN)}, '')`, keyJson(table, key, 't'), own, ...children].join(', ')}`;
};
