import {beforeEach, describe, expect, test} from 'vitest';
import type {GraphDiff, PresentRow, QueryGraph, RowDiff} from '../../src/ivm/registry.ts';
import {rowId} from '../../src/ivm/row-id.ts';
import {TimeDigest} from '../../src/observe/time-digest.ts';
import {ViewChanges} from '../../src/sync/view-changes.ts';
import {Views} from '../../src/sync/views.ts';

/** Rows of one query, moved by hand; what a graph is to a view. */
class Rows implements QueryGraph {
  readonly id: string;
  readonly text: string;
  readonly ast = {table: 'item'};
  readonly hydrationMs = 0;
  readonly updateTimes = new TimeDigest();
  readonly #rows = new Map<string, PresentRow>();

  constructor(id: string, rows: Readonly<Record<string, number>> = {}) {
    this.id = id;
    this.text = id;
    for (const [key, n] of Object.entries(rows)) this.#rows.set(idOf(key), row(key, n));
  }

  get size(): number {
    return this.#rows.size;
  }

  has(id: string): boolean {
    return this.#rows.has(id);
  }

  get(id: string): PresentRow | undefined {
    return this.#rows.get(id);
  }

  rows(): readonly PresentRow[] {
    return [...this.#rows.values()];
  }

  rowSet(): string {
    return [...this.#rows.keys()].sort().join();
  }

  /** What an epoch does: a number is the row's new contents, null takes it out. */
  change(changes: Readonly<Record<string, number | null>>): GraphDiff {
    const diffs = Object.entries(changes).map(([key, n]): RowDiff => {
      const id = idOf(key);
      const known = this.#rows.has(id);
      if (n === null) {
        this.#rows.delete(id);
        return {op: 'remove', id, table: 'item'};
      }
      this.#rows.set(id, row(key, n));
      return {op: known ? 'edit' : 'add', row: row(key, n)};
    });
    return {graph: this, changes: diffs};
  }
}

const idOf = (key: string) => rowId('item', {id: key});
const row = (key: string, n: number): PresentRow => ({
  id: idOf(key),
  table: 'item',
  rowVersion: `0${n}`,
  put: JSON.stringify({id: key, n}),
});

let views: Views;
let a: Rows;
let b: Rows;
let group: ViewChanges;
let touches: number;

beforeEach(() => {
  views = new Views();
  a = new Rows('a', {x: 1, y: 1});
  b = new Rows('b', {y: 1, z: 1});
  touches = 0;
  group = new ViewChanges(views, () => touches++);
  group.look(new Map([['a', a]]));
  group.rebase(new Map());
  group.clear();
});

/** What clients are told, and which rows only change their references. */
const fold = (of = group) => {
  const set = of.fold();
  const parts = set?.body('zero_0').parts() ?? [];
  const body = parts.map(({rows}) => rows?.bytes.toString() ?? '').join();
  const puts = [...body.matchAll(/"value":\{"id":"(\w)","n":(\d)/g)].map(([, id, n]) => `${id}${n}`);
  const dels = [...body.matchAll(/"id":\{"id":"(\w)"/g)].map(([, id]) => id);
  const silent = (set?.columns.keys ?? [])
    .map(key => (JSON.parse(key) as {id: string}).id)
    .filter(id => !dels.includes(id) && !puts.some(put => put.startsWith(id)));
  return {puts: puts.sort(), dels: dels.sort(), silent: silent.sort()};
};

test('an epoch is told once, and whoever does not look at its graphs is not woken', () => {
  views.deliver([b.change({z: 2})]);
  expect(touches).toBe(0);
  views.deliver([a.change({x: 2, y: null, w: 2})]);
  expect(touches).toBe(1);
  expect(fold()).toEqual({puts: ['w2', 'x2'], dels: ['y'], silent: []});
  group.clear();
  expect(fold()).toEqual({puts: [], dels: [], silent: []});
});

test('epochs that come before a fold coalesce to their net difference', () => {
  views.deliver([a.change({x: 2, v: 2})]);
  views.deliver([a.change({x: 3, v: null, y: null})]);
  views.deliver([a.change({y: 1})]);
  expect(fold()).toEqual({puts: ['x3', 'y1'], dels: [], silent: []});
});

test('groups of the same queries share what they tell', () => {
  const other = new ViewChanges(views, () => {});
  other.look(new Map([['a', a]]));
  other.rebase(new Map());
  expect(other.view).toBe(group.view);
  other.clear();
  views.deliver([a.change({x: 2})]);
  expect(other.fold()).toBe(group.fold());
});

describe('when queries change', () => {
  test('a row that is seen already only gains a reference', () => {
    group.look(
      new Map([
        ['a', a],
        ['b', b],
      ]),
    );
    expect(fold()).toEqual({puts: ['z1'], dels: [], silent: ['y']});
    group.clear();
    group.look(new Map([['b', b]]));
    expect(fold()).toEqual({puts: [], dels: ['x'], silent: ['y']});
  });

  test('a row that left one graph with new contents and comes with another is told again', () => {
    views.deliver([a.change({x: null}), b.change({x: 2})]);
    group.look(
      new Map([
        ['a', a],
        ['b', b],
      ]),
    );
    expect(fold()).toEqual({puts: ['x2', 'z1'], dels: [], silent: ['y']});
  });

  test('a row that changes places between two graphs in one epoch is told again', () => {
    group.look(
      new Map([
        ['a', a],
        ['b', b],
      ]),
    );
    fold();
    group.clear();
    views.deliver([a.change({x: null}), b.change({x: 2})]);
    expect(fold()).toEqual({puts: ['x2'], dels: [], silent: []});
  });

  test('a graph that failed is compared with what is stored', () => {
    group.unbase();
    views.deliver([a.change({x: 2})]);
    group.look(new Map([['b', b]]));
    group.rebase(
      new Map([
        [idOf('x'), '01'],
        [idOf('y'), '01'],
      ]),
    );
    expect(fold()).toEqual({puts: ['z1'], dels: ['x'], silent: []});
  });
});
