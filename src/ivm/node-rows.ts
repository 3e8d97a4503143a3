import {ident, literal} from '../pg/identifier.ts';
import type {Version} from '../pg/lsn.ts';
import type {Snapshot} from '../replica/snapshots.ts';
import {type SqliteValue, VERSION_COLUMN} from '../replica/table-spec.ts';
import type {JsonValue} from '../zql/ast.ts';
import {type Access, compileWhere, PROBE, probeAccess} from '../zql/compile-condition.ts';
import {compileAfter, compileOrder, compileStart} from '../zql/compile-order.ts';
import {type Fragment, join} from '../zql/fragment.ts';
import {emittedChildren, hasIndexOn, type NodePlan} from '../zql/plan.ts';
import {inTuples, joinTuples, keyJson, rowJson, tupleJson, tupleList} from '../zql/wire-sql.ts';
import type {PresentRow} from './registry.ts';
import {type RowId, rowId} from './row-id.ts';

/** A row present at a node. */
export interface NodeRow {
  readonly row: PresentRow;
  /** Its own correlation key (`[]` at the root) and the key it demands of each emitted child; null = none. */
  readonly key: string;
  readonly childKeys: readonly (string | null)[];
  /** At a limited root, the stored values of the order's columns as a JSON array; else null. */
  readonly order: string | null;
}

/** The one key of a root. */
export const ROOT_KEY = '[]';

/** Rows read by one statement, between two points at which a hydration may be interrupted. */
const CHUNK = 500;
/** Rows read one by one between two such points. */
const SLICE = 100;
const UNINDEXED_CHUNK = 50_000;

/**
 * The statements of one node, compiled once: all present rows of some keys, or those of some touched rows. Whatever
 * decides presence runs inside SQLite; JS sees one text per row (zql.md §4.1).
 */
export class NodeSql {
  readonly #plan: NodePlan;
  /** By key or identity. */
  readonly #where: Fragment;
  /** The same for keys, where visits may be counted. */
  readonly #keysWhere: Fragment;
  /** At the root: the way the planner chose. */
  readonly #rootWhere: Fragment;
  /** Texts are made when they are needed first: most graphs need few of them. */
  #selectText: string | undefined;
  #byKeysText: string | undefined;
  #byIdentityText: string | undefined;
  #byRowidText: string | undefined;
  #allRowsText: string | undefined;
  /** Rows of one transaction or of the first sync share the text of their version: fewer texts to keep. */
  #lastVersion = '';
  readonly #parentsTexts = new Map<NodePlan, string>();

  /** @throws QueryError if a condition does not fit its columns. */
  constructor(plan: NodePlan, access: Access = PROBE) {
    this.#plan = plan;
    const probe = probeAccess(plan);
    const start = compileStart(plan, 't');
    this.#where = join([compileWhere(plan, 't', probe), start], ' AND ');
    this.#keysWhere = access.counted
      ? join([compileWhere(plan, 't', {...probe, counted: true}), start], ' AND ')
      : this.#where;
    this.#rootWhere =
      access === probe ? this.#where : join([compileWhere(plan, 't', access), start], ' AND ');
  }

  get #select(): string {
    return (this.#selectText ??= select(this.#plan));
  }

  get #byKeys(): string {
    return (this.#byKeysText ??= this.#compileByKeys());
  }

  get #byIdentity(): string {
    return (this.#byIdentityText ??= `${this.#select} FROM ${rowsOfTuples(this.#plan, this.#plan.key)} AND ${this.#where.sql}`);
  }

  get #byRowid(): string {
    return (this.#byRowidText ??= `${this.#select} FROM json_each(?) k CROSS JOIN ${ident(this.#plan.table.name)} t ON t.rowid = k.value`);
  }

  get #allRows(): string {
    return (this.#allRowsText ??= `${this.#select} FROM ${ident(this.#plan.table.name)} t WHERE ${this.#rootWhere.sql}`);
  }

  #parents(child: NodePlan): string {
    let text = this.#parentsTexts.get(child);
    if (!text) {
      const {table, key, childField} = this.#plan;
      text = `SELECT ${tupleJson(table, key, 't')}, ${tupleJson(table, childField.length ? childField : key, 't')}
         FROM ${rowsOfTuples(this.#plan, child.parentField)} LIMIT ?`;
      this.#parentsTexts.set(child, text);
    }
    return text;
  }

  /** Keys worth asking for at once: without an index each statement reads the whole table. */
  get keysPerStatement(): number {
    return hasIndexOn(this.#plan.table, this.#plan.childField) ? CHUNK : UNINDEXED_CHUNK;
  }

  /** How the node's rows are found at first: row ids at a limited root, else rows. With its parameters but for the keys. */
  get statement(): Fragment {
    const {role, limit} = this.#plan;
    if (role !== 'root') return {sql: this.#byKeys, params: ['[]', ...this.#where.params]};
    return limit === null
      ? {sql: this.#allRows, params: this.#rootWhere.params}
      : {sql: `${this.#rootSql(this.#rootWhere)} LIMIT ?`, params: [...this.#rootWhere.params, limit]};
  }

  /**
   * The root's first rows in order, at most `limit`, optionally only those after a position. Yields where it may be
   * interrupted; the snapshot must stay as it is until it ends.
   */
  *ofRoot(
    snapshot: Snapshot,
    limit: number | null,
    after: readonly SqliteValue[] | null = null,
  ): Generator<void, NodeRow[]> {
    if (limit === 0) return [];
    const rows: NodeRow[] = [];
    if (limit === null) {
      // All rows are wanted, so each is read as it is found.
      for (const raw of snapshot.iterate(this.#allRows, this.#rootWhere.params)) {
        rows.push(this.#row(raw as RawRow));
        if (rows.length % SLICE === 0) yield;
      }
      return rows;
    }
    // A search may pass many rows before it knows which ones it keeps: row ids first, contents for those.
    const where = after
      ? join([this.#rootWhere, compileAfter(this.#plan, 't', after)], ' AND ')
      : this.#rootWhere;
    const rowids = snapshot
      .prepare(`${this.#rootSql(where)} LIMIT ?`)
      .pluck()
      .all(...where.params, limit) as number[];
    for (let at = 0; at < rowids.length; at += CHUNK) {
      yield;
      this.#read(snapshot, this.#byRowid, [`[${rowids.slice(at, at + CHUNK).join()}]`], rows);
    }
    return rows;
  }

  /** All rows present for the keys of a node below the root. */
  ofKeys(snapshot: Snapshot, keys: Iterable<string>): NodeRow[] {
    if (this.#plan.limit === 0) return [];
    // The keys come first in all forms of the text.
    return this.#read(snapshot, this.#byKeys, [tupleList(keys), ...this.#where.params]);
  }

  /** Which of the touched rows (identity tuples) match now, whatever their key and whether or not inside a window. */
  ofIdentities(snapshot: Snapshot, identities: Iterable<string>): NodeRow[] {
    return this.#read(snapshot, this.#byIdentity, [tupleList(identities), ...this.#where.params]);
  }

  /**
   * Identity and correlation key of the rows whose truth may depend on the given keys of an EXISTS child; null if there
   * are more than `limit`.
   */
  parentsOf(
    snapshot: Snapshot,
    child: NodePlan,
    keys: Iterable<string>,
    limit: number,
  ): {identity: string; key: string | null}[] | null {
    const rows = snapshot
      .prepare(this.#parents(child))
      .raw()
      .all(tupleList(keys), limit + 1) as [string, string | null][];
    if (rows.length > limit) return null;
    return rows.map(([identity, key]) => ({identity, key: this.#plan.role === 'root' ? ROOT_KEY : key}));
  }

  #rootSql(where: Fragment): string {
    const order = this.#plan.limit === null ? '' : compileOrder(this.#plan, 't');
    return `SELECT t.rowid FROM ${ident(this.#plan.table.name)} t WHERE ${where.sql}${order}`;
  }

  #compileByKeys(): string {
    const {table, childField, limit} = this.#plan;
    const name = ident(table.name);
    const where = this.#keysWhere.sql;
    if (limit === null) return `${this.#select} FROM ${rowsOfTuples(this.#plan, childField)} AND ${where}`;
    const order = compileOrder(this.#plan, 't');
    // `t` of the inner statement is the candidate, `t` of the outer one the row that is read.
    if (hasIndexOn(table, childField))
      // Per key the first rows only: SQLite walks `limit` index entries per key instead of reading all children.
      return `${this.#select} FROM json_each(?) k CROSS JOIN ${name} t ON t.rowid IN
        (SELECT t.rowid FROM ${name} t WHERE ${joinTuples(childField, 't')} AND ${where}${order} LIMIT ${limit})`;
    const keys = childField.map(field => `t.${ident(field)}`).join(', ');
    return `${this.#select} FROM
      (SELECT t.rowid AS r, row_number() OVER (PARTITION BY ${keys}${order}) AS n
       FROM ${name} t WHERE ${inTuples(childField, 't')} AND ${where}) w
      CROSS JOIN ${name} t ON t.rowid = w.r WHERE w.n <= ${limit}`;
  }

  #read(snapshot: Snapshot, sql: string, params: readonly SqliteValue[], into: NodeRow[] = []): NodeRow[] {
    const raw = snapshot.prepare(sql).raw().all(params) as RawRow[];
    for (const values of raw) into.push(this.#row(values));
    return into;
  }

  #row(values: RawRow): NodeRow {
    const {role, table} = this.#plan;
    const {minRowVersion, name} = table;
    const version = values[1]! > minRowVersion ? values[1]! : minRowVersion;
    if (version !== this.#lastVersion) this.#lastVersion = version;
    return {
      row: {
        id: values[2]! as RowId,
        table: name,
        rowVersion: this.#lastVersion as Version,
        put: values[0]!,
      },
      key: role === 'root' ? ROOT_KEY : values[3]!,
      childKeys: values.length > 5 ? values.slice(5) : NO_KEYS,
      order: values[4]!,
    };
  }
}

const NO_KEYS: readonly null[] = [];

/** The rows `t` of a node whose `columns` are among the tuples of the parameter, up to and including a condition. */
const rowsOfTuples = ({table}: NodePlan, columns: readonly string[]): string =>
  hasIndexOn(table, columns)
    ? `json_each(?) k CROSS JOIN ${ident(table.name)} t ON ${joinTuples(columns, 't')} WHERE 1`
    : `${ident(table.name)} t WHERE ${inTuples(columns, 't')}`;

/** Row, version, id, own key (null at a root), order columns as JSON (null unless a root window), key per emitted child. */
type RawRow = (string | null)[];

const select = (plan: NodePlan): string => {
  const {table, key, childField} = plan;
  const children = emittedChildren(plan).map(child => tupleJson(table, child.parentField, 't'));
  const id = `${literal(table.name)} || char(0) || ${keyJson(table, key, 't')}`;
  const own = childField.length ? tupleJson(table, childField, 't') : 'NULL';
  const order =
    plan.role === 'root' && plan.limit !== null
      ? `json_array(${plan.order.map(([name]) => `t.${ident(name)}`).join(', ')})`
      : 'NULL';
  return `SELECT ${[rowJson(table, 't'), `COALESCE(t.${ident(VERSION_COLUMN)}, '')`, id, own, order, ...children].join(', ')}`;
};

export const groupByKey = (rows: readonly NodeRow[]): Map<string, NodeRow[]> => {
  const groups = new Map<string, NodeRow[]>();
  for (const row of rows) {
    const group = groups.get(row.key);
    if (group) group.push(row);
    else groups.set(row.key, [row]);
  }
  return groups;
};

/** The wire identity of a row from its stored identity tuple: they differ in booleans only. */
export const rowIdOf = (plan: NodePlan, identity: string): RowId => {
  const values = JSON.parse(identity) as JsonValue[];
  const key: Record<string, JsonValue> = {};
  plan.key.forEach((name, i) => {
    const isBoolean = plan.table.columns.find(column => column.name === name)?.zqlType === 'boolean';
    key[name] = isBoolean ? values[i] === 1 : values[i]!;
  });
  return rowId(plan.table.name, key);
};
