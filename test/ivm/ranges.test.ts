import {expect, test} from 'vitest';
import {type Range, Ranges} from '../../src/ivm/ranges.ts';
import {where} from '../helpers/ast.ts';
import {Random} from '../helpers/random.ts';
import {Scenario, set} from '../helpers/scenario.ts';

const {NEGATIVE_INFINITY, POSITIVE_INFINITY} = Number;

test('finds what a look at every range finds, while ranges come and go', () => {
  const random = new Random(3);
  const ranges = new Ranges<number>();
  const all = new Map<number, Range>();
  const found = (value: number) => {
    const into = new Set<number>();
    ranges.collect(value, into);
    return [...into].sort((a, b) => a - b);
  };
  for (let step = 0; step < 2000; step++) {
    const owner = random.int(60);
    const known = all.get(owner);
    if (known) {
      ranges.delete(known, owner);
      all.delete(owner);
    } else {
      const range = {
        from: random.chance(0.4) ? NEGATIVE_INFINITY : random.int(20),
        to: random.chance(0.4) ? POSITIVE_INFINITY : random.int(20),
      };
      ranges.add(range, owner);
      all.set(owner, range);
    }
    const value = random.chance(0.1) ? random.pick([NEGATIVE_INFINITY, POSITIVE_INFINITY]) : random.int(20);
    const wanted = [...all].filter(([, {from, to}]) => from <= value && value <= to).map(([one]) => one);
    expect(found(value)).toEqual(wanted.sort((a, b) => a - b));
    expect(ranges.has(value)).toBe(wanted.length > 0);
    expect(found(Number.NaN)).toHaveLength(all.size);
    expect(ranges.empty).toBe(all.size === 0);
  }
});

test('a change outside of the bounds that a query sets does not reach its graph', async () => {
  using s = new Scenario(set('issue', {id: 'a', n: 5}));
  const between = {
    table: 'issue',
    where: {type: 'and', conditions: [where('n', '>', 3), where('n', '<=', 8)]},
  } as const;
  const graph = await s.query(between);
  const advances = () => s.registry.inspectGraphs().find(({id}) => id === graph.id)!.advances;
  s.transact(set('issue', {id: 'b', n: 2}), set('issue', {id: 'c', n: 9}), set('issue', {id: 'd', n: null}));
  expect(advances()).toBe(0);
  expect(s.transact(set('issue', {id: 'b', n: 8})).add).toEqual(['issue:b']);
  expect(advances()).toBe(1);
  expect(s.transact(set('issue', {id: 'b', n: 100})).remove).toEqual(['issue:b']);
  expect(advances()).toBe(2);
});

test('rows are not read when their keys tell that they concern nobody', async () => {
  using s = new Scenario(set('issue', {id: 'a', n: 1}, {id: 'b', n: 1}));
  const graph = await s.query({table: 'issue', where: where('id', '=', 'a')});
  expect(s.transact(set('issue', {id: 'b', n: 2}))).toEqual({add: [], edit: [], remove: []});
  expect(s.transact(set('issue', {id: 'a', n: 2}), set('issue', {id: 'c', n: 2})).edit).toEqual(['issue:a']);
  const others = await s.query({table: 'issue', where: where('n', '=', 2)});
  expect(s.ids(others, 'issue')).toEqual(['a', 'b', 'c']);
  s.transact(set('issue', {id: 'b', n: 3}));
  expect(s.ids(others, 'issue')).toEqual(['a', 'c']);
  expect(s.ids(graph, 'issue')).toEqual(['a']);
});
