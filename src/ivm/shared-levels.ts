import type {Snapshot} from '../replica/snapshots.ts';
import {allNodes, type NodePlan} from '../zql/plan.ts';
import {byTable, type RowChange} from './changes.ts';
import {
  emptyDiff,
  type KeyRows,
  type Level,
  type Node,
  type NodeDiff,
  replaceKey,
  type Touched,
} from './node.ts';
import {groupByKey} from './node-rows.ts';
import {exists} from './operators/exists.ts';
import {filter} from './operators/filter.ts';
import {inChunks} from './operators/join.ts';
import {ReadAnew} from './operators/read-anew.ts';
import {source} from './operators/source.ts';
import {take} from './operators/take.ts';

/** What changed between the version of all levels and the next. */
interface Step {
  readonly changes: ReadonlyMap<string, readonly RowChange[]>;
  readonly snapshot: Snapshot;
}

const NOTHING: KeyRows = new Map();
const NO_KEYS: ReadonlySet<string> = new Set();

/**
 * The levels below the roots of all joined graphs: what a child holds for a key depends on the key and on the child's own
 * text alone, so graphs that differ above it (in the user of a permission, say) share its rows, and a change is evaluated
 * there once (design.md §4).
 */
export class SharedLevels {
  readonly #levels = new Map<string, SharedLevel>();
  readonly #mostParents: number;
  /** Levels evaluated in the present step. */
  readonly #evaluated = new Set<SharedLevel>();
  #version: string;
  #step: Step | null = null;

  /** `mostParents`: rows that a change of an EXISTS child may concern before all keys of a level are read anew. */
  constructor(version: string, mostParents: number) {
    this.#version = version;
    this.#mostParents = mostParents;
  }

  /** From now on levels are those of `snapshot`. Nobody joins those of tables that changed as a whole any more. */
  begin(changes: readonly RowChange[], wholeTables: ReadonlySet<string>, snapshot: Snapshot): void {
    this.#version = snapshot.version;
    this.#step = {changes: byTable(changes), snapshot};
    if (wholeTables.size)
      for (const [text, {tables}] of this.#levels)
        if ([...wholeTables].some(table => tables.has(table))) this.#levels.delete(text);
  }

  end(): void {
    this.#step = null;
    for (const level of this.#evaluated) level.forget();
    this.#evaluated.clear();
  }

  /** The level of a child's text if there is one and it is at the snapshot's version. */
  at(snapshot: Snapshot, plan: NodePlan): SharedLevel | null {
    if (snapshot.version !== this.#version) return null;
    const level = this.#levels.get(levelText(plan));
    return level?.isSound() ? level : null;
  }

  /** The level of a child that is at the present version; made of the child itself if it is the first. */
  join(child: Node): SharedLevel {
    const text = levelText(child.plan);
    let level = this.#levels.get(text);
    if (!level?.isSound()) {
      level = new SharedLevel(child, this.#mostParents, evaluating => {
        if (this.#step) this.#evaluated.add(evaluating);
        return this.#step;
      });
      this.#levels.set(text, level);
    }
    level.owners++;
    return level;
  }

  leave(level: Level): void {
    if (--level.owners > 0) return;
    const text = levelText(level.plan);
    if (this.#levels.get(text) === level) this.#levels.delete(text);
  }
}

/** One level, for all graphs whose child has the same text. */
export class SharedLevel implements Level {
  owners = 0;
  readonly plan: NodePlan;
  /** Of the level and everything below. */
  readonly tables: ReadonlySet<string>;
  /** `present`: the rows of every key that some graph demands; `demand`: by how many. */
  readonly #node: Node;
  readonly #mostParents: number;
  readonly #current: (level: SharedLevel) => Step | null;
  #seen: Step | null;
  #changed: Map<string, NodeDiff> = new Map();
  #fault: unknown = null;

  constructor(child: Node, mostParents: number, current: (level: SharedLevel) => Step | null) {
    this.plan = child.plan;
    this.tables = new Set([...allNodes(child.plan)].map(({table}) => table.name));
    this.#node = {...child, present: new Map(), demand: new Map(), level: null};
    this.#mostParents = mostParents;
    this.#current = current;
    this.#seen = current(this);
  }

  rowsOf(key: string): KeyRows | undefined {
    return this.#node.demand.has(key) ? (this.#node.present.get(key) ?? NOTHING) : undefined;
  }

  rowsBefore(key: string): KeyRows {
    const now = this.#node.present.get(key) ?? NOTHING;
    const diff = this.#changed.get(key);
    if (!diff) return now;
    const before = new Map(now);
    for (const {row} of diff.added) before.delete(row.id);
    for (const old of diff.removed) before.set(old.row.id, old);
    for (const {before: old} of diff.edited) before.set(old.row.id, old);
    return before;
  }

  acquire(key: string, rows: KeyRows): KeyRows {
    const {demand, present} = this.#node;
    const count = demand.get(key) ?? 0;
    demand.set(key, count + 1);
    if (count === 0 && rows.size) present.set(key, new Map(rows));
    return present.get(key) ?? NOTHING;
  }

  release(key: string): void {
    const {demand, present} = this.#node;
    const count = demand.get(key)! - 1;
    if (count > 0) demand.set(key, count);
    else {
      demand.delete(key);
      present.delete(key);
    }
  }

  /** The step is over: nobody will ask what it changed. */
  forget(): void {
    this.#changed = new Map();
  }

  advance(): ReadonlyMap<string, NodeDiff> {
    const step = this.#current(this);
    if (step !== this.#seen) {
      this.#seen = step;
      this.#changed = new Map();
      this.#fault = null;
      try {
        if (step) this.#changed = keyed(this.#evaluate(step));
      } catch (error) {
        this.#fault = error;
      }
    }
    if (this.#fault) throw this.#fault;
    return this.#changed;
  }

  isSound(): boolean {
    try {
      this.advance();
      return true;
    } catch {
      return false;
    }
  }

  #evaluate({changes, snapshot}: Step): NodeDiff {
    const node = this.#node;
    const diff = emptyDiff();
    let touched: Touched;
    try {
      touched = source(node, changes);
      for (const [identity, keys] of touched)
        if (![...keys].some(key => node.demand.has(key))) touched.delete(identity);
      exists(node, touched, changes, snapshot, new Map(), this.#mostParents);
    } catch (error) {
      if (!(error instanceof ReadAnew)) throw error;
      for (const keys of inChunks(node, [...node.demand.keys()])) {
        const rows = groupByKey(node.sql.ofKeys(snapshot, keys));
        for (const key of keys) replaceKey(node, key, rows.get(key) ?? [], diff);
      }
      return diff;
    }
    if (node.plan.limit === null) filter(node, touched, NO_KEYS, snapshot, diff);
    else take(node, touched, NO_KEYS, snapshot, diff, Number.POSITIVE_INFINITY);
    return diff;
  }
}

const keyed = ({added, removed, edited}: NodeDiff): Map<string, NodeDiff> => {
  const keys = new Map<string, NodeDiff>();
  const of = (key: string): NodeDiff => {
    let diff = keys.get(key);
    if (!diff) keys.set(key, (diff = emptyDiff()));
    return diff;
  };
  for (const row of added) of(row.key).added.push(row);
  for (const row of removed) of(row.key).removed.push(row);
  for (const edit of edited) of(edit.after.key).edited.push(edit);
  return keys;
};

const texts = new WeakMap<NodePlan, string>();

/** Everything that decides what a level and those below hold for a key. */
const levelText = (plan: NodePlan): string => {
  let text = texts.get(plan);
  if (!text) texts.set(plan, (text = JSON.stringify(essence(plan))));
  return text;
};

const essence = (plan: NodePlan): unknown => {
  const {role, table, key, childField, emitted, where, start, limit, order} = plan;
  const children = [...plan.exists, ...plan.related].map(child => [child.parentField, essence(child)]);
  return [role, table.name, key, childField, emitted, where, start, limit, order, children];
};
