import type {Condition, SimpleCondition} from './ast.ts';
import {type Access, compileWhere, PROBE} from './compile-condition.ts';
import type {Fragment} from './fragment.ts';
import {hasIndexOn, type NodePlan} from './plan.ts';

/** What the planner may ask of the replica. */
export interface Statistics {
  /** About how many rows a table has. */
  rows(table: string): number;
  /** Average rows per value of an index's first columns, as many as given; null if there is no such index. */
  perKey(table: string, columns: readonly string[]): number | null;
  /** Rows matching a condition over the alias `t`, counted up to `limit`. */
  count(table: string, where: Fragment, limit: number): number;
}

/** How a root's rows are read, and what was expected of the ways there were. Costs are in rows visited. */
export interface Choice {
  readonly access: Access;
  /** One line per way considered, the chosen one first. */
  readonly ways: readonly {readonly way: string; readonly cost: number; readonly rows: number}[];
}

/** Counting stops here: beyond it a way is expensive anyway. */
const COUNT_LIMIT = 4000;
/** Visits for one probe of an EXISTS by an index, against one row read in turn. */
const PROBE_COST = 2;

/** One way to list the rows of a node without regard to order. */
interface Way {
  readonly name: string;
  readonly rows: number;
  readonly cost: number;
  readonly flipped: readonly NodePlan[];
  /** The AND-level part it starts from. */
  readonly part: Part | null;
}

/** A condition with the EXISTS nodes in it, in order. */
interface Part {
  readonly condition: Condition;
  readonly exists: readonly NodePlan[];
}

/**
 * Chooses on which side of each EXISTS to begin, and whether to walk the index of the order or to sort what a filter
 * leaves, by counting a little in the replica (zql.md §5). Never changes what a query means. `enabled: false` only
 * honours explicit `flip`s.
 */
export const chooseAccess = (root: NodePlan, statistics: Statistics, enabled: boolean): Choice => {
  if (!enabled) return {access: {...PROBE, flipped: explicitFlips(root)}, ways: []};
  const planner = new Planner(statistics);
  const walk = planner.walk(root);
  // Without EXISTS and without an order to walk, SQLite needs no advice.
  if (root.exists.length === 0 && !walk) return {access: PROBE, ways: []};
  const sort = planner.sort(root);
  const [best, other] = walk && walk.cost < sort.cost ? [walk, sort] : [sort, walk];
  return {
    access: best.access,
    ways: [best, other].flatMap(found =>
      found ? [{way: found.name, cost: found.cost, rows: found.rows}] : [],
    ),
  };
};

const explicitFlips = (node: NodePlan): Set<NodePlan> => {
  const flips = new Set<NodePlan>();
  const visit = (parent: NodePlan) => {
    for (const child of parent.exists) {
      if (child.flip && !child.negated) flips.add(child);
      visit(child);
    }
  };
  visit(node);
  return flips;
};

class Planner {
  readonly #statistics: Statistics;
  readonly #ways = new Map<NodePlan, Way>();

  constructor(statistics: Statistics) {
    this.#statistics = statistics;
  }

  /** Lists the matching rows by the cheapest way; then they are sorted, if there is an order. */
  sort(node: NodePlan): {name: string; cost: number; rows: number; access: Access} {
    const way = this.#best(node);
    const flipped = new Set(way.flipped);
    const tested = new Set<NodePlan>();
    for (const part of parts(node))
      if (part.condition !== way.part?.condition)
        for (const child of part.exists) if (flipped.has(child)) tested.add(child);
    // What starts from an EXISTS must not be drawn to an index on a poorer filter.
    const unindexed = new Set<string>();
    if (way.part?.exists.length)
      for (const {condition} of parts(node))
        if (condition.type === 'simple' && condition.left.type === 'column')
          unindexed.add(condition.left.name);
    return {
      name: way.name,
      cost: way.cost + way.rows,
      rows: way.rows,
      access: {flipped, tested, unindexed},
    };
  }

  /** Walks an index that holds the order until the limit is full; null if there is none. */
  walk(node: NodePlan): {name: string; cost: number; rows: number; access: Access} | null {
    if (node.limit === null || node.limit === 0 || node.order.length === 0) return null;
    const pinned = new Set<string>();
    for (const {condition} of parts(node)) {
      const column = pinnedColumn(condition);
      if (column) pinned.add(column);
    }
    const first = node.order.find(([name]) => !pinned.has(name))?.[0];
    if (first === undefined) return null;
    const prefix = node.table.indexes
      .map(({columns}) => columns.slice(0, columns.indexOf(first)))
      .filter(
        (columns, i) =>
          node.table.indexes[i]!.columns.includes(first) && columns.every(name => pinned.has(name)),
      )
      .reduce<readonly string[] | null>(
        (best, columns) => (best && best.length >= columns.length ? best : columns),
        null,
      );
    if (!prefix) return null;
    const {table} = node;
    const total = this.#rows(node);
    const within = parts(node).filter(
      ({condition}) => prefix.includes(pinnedColumn(condition) ?? '') && condition.type === 'simple',
    );
    const scope = within.reduce((rows, part) => Math.min(rows, this.#selected(node, part)), total);
    // What the walk passes without knowing it: everything else of the condition.
    const rest = parts(node)
      .filter(part => !within.includes(part))
      .reduce((share, part) => share * this.#share(node, part), 1);
    const block = this.#statistics.perKey(table.name, [...prefix, first]) ?? 1;
    const visited = Math.min(scope, node.limit / Math.max(rest, 1 / Math.max(1, scope))) + block;
    const flipped = new Set<NodePlan>();
    let probes = 0;
    let listed = 0;
    for (const child of node.exists) {
      const list = this.#best(child);
      if (this.#isListed(child, visited)) {
        for (const flip of [child, ...list.flipped]) flipped.add(flip);
        listed += list.cost;
      } else probes += this.#probeCost(child);
    }
    const unindexed = new Set(columnsOf(node.where).filter(name => !prefix.includes(name) && name !== first));
    return {
      name: `walk ${[...prefix, first].join(', ')}`,
      cost: visited * (1.5 + probes) + listed,
      rows: Math.min(node.limit, scope * rest),
      access: {flipped, tested: flipped, unindexed},
    };
  }

  /** The cheapest way to list a node's matching rows. */
  #best(node: NodePlan): Way {
    let best = this.#ways.get(node);
    if (best) return best;
    const total = this.#rows(node);
    const all = parts(node);
    best = {name: `scan ${node.table.name}`, rows: total, cost: total, flipped: [], part: null};
    for (const part of all) {
      const way = this.#drive(node, part);
      if (way && way.cost < best.cost) best = {...way, part};
    }
    const flipped = [...best.flipped];
    let {cost, rows} = best;
    for (const part of all) {
      if (part === best.part) continue;
      for (const child of part.exists) {
        const list = this.#best(child);
        if (this.#isListed(child, best.rows)) {
          flipped.push(child, ...list.flipped);
          cost += list.cost + best.rows / 2;
        } else cost += best.rows * this.#probeCost(child);
      }
      rows *= this.#share(node, part);
    }
    best = {...best, cost, rows, flipped};
    this.#ways.set(node, best);
    return best;
  }

  /** Listing rows from one part of the condition; null if no index helps. */
  #drive(node: NodePlan, {condition, exists}: Part): Omit<Way, 'part'> | null {
    switch (condition.type) {
      case 'simple': {
        if (!this.#isIndexed(node, condition)) return null;
        const rows = this.#selected(node, {condition, exists});
        return {name: `by ${node.table.name}.${columnName(condition)}`, rows, cost: rows, flipped: []};
      }
      case 'correlatedSubquery': {
        const [child] = exists;
        if (!child || child.negated || child.flip === false || child.limit === 0) return null;
        const perKey = this.#perKey(node, child.parentField);
        if (perKey === null) return null;
        const list = this.#best(child);
        const rows = Math.min(this.#rows(node), list.rows * perKey);
        return {
          name: `from ${child.table.name} (${list.name})`,
          rows,
          cost: list.cost + list.rows + rows * 1.5,
          flipped: [child, ...list.flipped],
        };
      }
      case 'or': {
        const branches = partsOf(condition.conditions, exists).map(part => this.#drive(node, part));
        if (branches.length === 0 || branches.includes(null)) return null;
        const found = branches.filter(branch => branch !== null);
        return {
          name: found.map(branch => branch.name).join(' or '),
          rows: found.reduce((sum, {rows}) => sum + rows, 0),
          cost: found.reduce((sum, {cost}) => sum + cost, 0),
          flipped: found.flatMap(branch => branch.flipped),
        };
      }
      case 'and': {
        const ways = partsOf(condition.conditions, exists).flatMap(part => this.#drive(node, part) ?? []);
        return ways.reduce<Omit<Way, 'part'> | null>(
          (best, way) => (best && best.cost <= way.cost ? best : way),
          null,
        );
      }
    }
  }

  /** Share of a node's rows that a part lets through. */
  #share(node: NodePlan, {condition, exists}: Part): number {
    const total = Math.max(1, this.#rows(node));
    switch (condition.type) {
      case 'simple':
        return this.#isIndexed(node, condition)
          ? Math.min(1, this.#selected(node, {condition, exists}) / total)
          : guess(condition);
      case 'correlatedSubquery': {
        const [child] = exists;
        if (!child || child.limit === 0) return condition.op === 'EXISTS' ? 0 : 1;
        const perKey = this.#perKey(node, child.parentField) ?? 10;
        const share = Math.min(1, (this.#best(child).rows * perKey) / total);
        return child.negated ? Math.max(0.1, 1 - share) : share;
      }
      case 'and':
        return partsOf(condition.conditions, exists).reduce(
          (share, part) => share * this.#share(node, part),
          1,
        );
      case 'or':
        return Math.min(
          1,
          partsOf(condition.conditions, exists).reduce((share, part) => share + this.#share(node, part), 0),
        );
    }
  }

  /** Rows that a simple condition on an indexed column selects, counted; an estimate beyond the limit. */
  #selected(node: NodePlan, {condition}: Part): number {
    const where = compileWhere({...node, where: condition, exists: []}, 't');
    const counted = this.#statistics.count(node.table.name, where, COUNT_LIMIT);
    if (counted < COUNT_LIMIT) return counted;
    return Math.max(COUNT_LIMIT, this.#rows(node) * guess(condition as SimpleCondition));
  }

  /** Is it better to list a child's keys once than to probe it for so many rows? */
  #isListed(child: NodePlan, rows: number): boolean {
    if (child.limit === 0) return false;
    if (!child.negated && child.flip !== undefined) return child.flip;
    // NOT EXISTS begins at the parent, unless each probe would read the whole table.
    if (child.negated && hasIndexOn(child.table, child.childField)) return false;
    return this.#best(child).cost < rows * this.#probeCost(child);
  }

  #probeCost(child: NodePlan): number {
    return hasIndexOn(child.table, child.childField)
      ? PROBE_COST
      : Math.max(PROBE_COST, this.#rows(child) / 2);
  }

  #isIndexed(node: NodePlan, condition: SimpleCondition): boolean {
    const name = columnName(condition);
    // Small tables are counted by looking at all of them.
    return (
      name !== null &&
      !condition.op.endsWith('LIKE') &&
      (this.#rows(node) <= COUNT_LIMIT || node.table.indexes.some(({columns}) => columns[0] === name))
    );
  }

  #perKey(node: NodePlan, columns: readonly string[]): number | null {
    const {indexes, name} = node.table;
    if (indexes.some(index => index.unique && index.columns.every(column => columns.includes(column))))
      return 1;
    const index = indexes.find(({columns: [first]}) => columns.includes(first!));
    return index ? (this.#statistics.perKey(name, [index.columns[0]!]) ?? 10) : null;
  }

  #rows(node: NodePlan): number {
    return this.#statistics.rows(node.table.name);
  }
}

/** Usual shares of conditions about which nothing is known. */
const guess = ({op}: SimpleCondition): number => {
  if (op === '=' || op === 'IS' || op === 'LIKE' || op === 'ILIKE') return 0.1;
  if (op === 'IN') return 0.2;
  return op === '!=' || op.startsWith('NOT') || op === 'IS NOT' ? 0.9 : 0.33;
};

const columnName = ({left}: SimpleCondition): string | null => (left.type === 'column' ? left.name : null);

/** The column a condition holds to one value. */
const pinnedColumn = (condition: Condition): string | null =>
  condition.type === 'simple' && (condition.op === '=' || condition.op === 'IS')
    ? columnName(condition)
    : null;

const countExists = (condition: Condition): number =>
  condition.type === 'correlatedSubquery'
    ? 1
    : condition.type === 'simple'
      ? 0
      : condition.conditions.reduce((sum, part) => sum + countExists(part), 0);

/** Conditions with their EXISTS nodes, dealt out in the order in which both occur. */
const partsOf = (conditions: readonly Condition[], exists: readonly NodePlan[]): Part[] => {
  let at = 0;
  return conditions.map(condition => {
    const n = countExists(condition);
    const part = {condition, exists: exists.slice(at, at + n)};
    at += n;
    return part;
  });
};

const flatten = (condition: Condition): readonly Condition[] =>
  condition.type === 'and' ? condition.conditions.flatMap(flatten) : [condition];

/** The AND-level parts of a node's condition. */
const parts = (node: NodePlan): Part[] => (node.where ? partsOf(flatten(node.where), node.exists) : []);

const columnsOf = (condition: Condition | undefined): string[] => {
  if (!condition || condition.type === 'correlatedSubquery') return [];
  if (condition.type === 'simple') return condition.left.type === 'column' ? [condition.left.name] : [];
  return condition.conditions.flatMap(columnsOf);
};
