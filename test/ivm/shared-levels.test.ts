import {afterEach, expect, test, vi} from 'vitest';
import {NodeSql} from '../../src/ivm/node-rows.ts';
import type {QueryGraph} from '../../src/ivm/registry.ts';
import type {AST} from '../../src/zql/ast.ts';
import {child, where} from '../helpers/ast.ts';
import {del, Scenario, set} from '../helpers/scenario.ts';
import type {TestTable} from '../helpers/test-replica.ts';

/** What differs only above a level shares the level (zql.md §7.2, corner 60). */
afterEach(() => {
  vi.restoreAllMocks();
});

/** Issues up to `n` with their comments and those comments' authors. */
const upTo = (n: number): AST => ({
  table: 'issue',
  where: where('n', '<=', n),
  related: [
    child('id', 'issue', {
      table: 'comment',
      alias: 'comments',
      related: [child('author', 'id', {table: 'user', alias: 'author'})],
    }),
  ],
});

const ISSUES = [
  ...set('user', {id: 'u', name: 'U'}, {id: 'v', name: 'V'}),
  ...set('issue', {id: 'a', n: 1}, {id: 'b', n: 2}, {id: 'c', n: 3}),
  ...set(
    'comment',
    {id: 'a1', issue: 'a', author: 'u'},
    {id: 'b1', issue: 'b', author: 'u'},
    {id: 'c1', issue: 'c', author: 'v'},
  ),
];

const rowOf = (graph: QueryGraph, id: string) => graph.rows().find(row => row.put.includes(`"id":"${id}"`));
const operators = (s: Scenario) =>
  s.registry
    .inspectGraphs()
    .map(({operators}) => operators.map(({operator, sharedBy}) => `${operator} × ${sharedBy}`));

test('60. below roots with different literals there is one level, whose rows are read and changed once', async () => {
  using s = new Scenario(ISSUES);
  const one = await s.query(upTo(2));
  const byKeys = vi.spyOn(NodeSql.prototype, 'ofKeys');
  const two = await s.query(upTo(1));
  expect(byKeys, 'everything below was there').not.toHaveBeenCalled();
  const three = await s.query(upTo(3));
  expect(byKeys.mock.calls.map(([, keys]) => [...keys])).toEqual([['["c"]'], ['["v"]']]);
  expect(rowOf(two, 'a1')).toBe(rowOf(one, 'a1'));
  expect(rowOf(three, 'b1')).toBe(rowOf(one, 'b1'));
  for (const names of operators(s))
    expect(names).toEqual(expect.arrayContaining(['join comment × 3', 'join user × 3']));

  const identities = vi.spyOn(NodeSql.prototype, 'ofIdentities');
  s.transact(set('comment', {id: 'a1', issue: 'a', author: 'u', s: 'edited'}));
  expect(identities).toHaveBeenCalledTimes(1);
  for (const query of [0, 1, 2]) expect(s.told(query)).toEqual({add: [], edit: ['comment:a1'], remove: []});
  expect(rowOf(two, 'a1')).toBe(rowOf(one, 'a1'));
});

test('a parent enters one graph and leaves another in the step that changes its children', async () => {
  using s = new Scenario(ISSUES);
  const parity = (n: number): AST => ({...upTo(0), where: where('n', '=', n)});
  await s.query(parity(1));
  await s.query(parity(2));
  s.transact(
    set('issue', {id: 'a', n: 2}, {id: 'b', n: 1}),
    set('comment', {id: 'a1', issue: 'a', author: 'v', s: 'x'}, {id: 'b2', issue: 'b', author: 'u'}),
    del('comment', 'b1'),
  );
  expect(s.told(0)).toEqual({
    add: ['comment:b2', 'issue:b'],
    edit: [],
    remove: ['comment:a1', 'issue:a'],
  });
  expect(s.told(1)).toEqual({
    add: ['comment:a1', 'issue:a', 'user:v'],
    edit: [],
    remove: ['comment:b1', 'issue:b', 'user:u'],
  });
  // A child moves between parents of different graphs.
  s.transact(set('comment', {id: 'b2', issue: 'a', author: 'u'}));
  expect(s.told(0)).toEqual({add: [], edit: [], remove: ['comment:b2', 'user:u']});
  expect(s.told(1)).toEqual({add: ['comment:b2', 'user:u'], edit: [], remove: []});
});

test('who leaves takes nothing away, and the last one leaves nothing behind', async () => {
  using s = new Scenario(ISSUES);
  const [first, ...others] = [
    await s.registry.acquire(upTo(1), {}),
    await s.query(upTo(2)),
    await s.query(upTo(3)),
  ];
  s.registry.release(first);
  s.transact(set('comment', {id: 'a1', issue: 'a', author: 'v'}), set('comment', {id: 'a2', issue: 'a'}));
  for (const graph of others) s.registry.release(graph);
  expect(s.registry.inspectGraphs()).toEqual([]);
  const byKeys = vi.spyOn(NodeSql.prototype, 'ofKeys');
  await s.registry.acquire(upTo(1), {});
  expect(byKeys).toHaveBeenCalled();
  expect(operators(s)[0]).toContain('join comment × 1');
});

test('a row that cannot be sent ends the graph that would show it, not those that share its level', async () => {
  const tables: TestTable[] = [
    {name: 'p', columns: {id: 'text', n: 'int4'}, key: ['id']},
    {name: 'c', columns: {id: 'text', p: 'text', big: 'int8?'}, key: ['id'], indexes: [['p']]},
  ];
  using s = new Scenario(
    [...set('p', {id: 'a', n: 1}, {id: 'b', n: 2}), ...set('c', {id: 'a1', p: 'a'}, {id: 'b1', p: 'b'})],
    tables,
  );
  const of = (n: number): AST => ({
    table: 'p',
    where: where('n', '=', n),
    related: [child('id', 'p', {table: 'c', alias: 'cs'})],
  });
  const bad = await s.registry.acquire(of(1), {});
  const good = await s.query(of(2));
  // Both have a changed row in the level, one of them a broken one.
  s.write(set('c', {id: 'a1', p: 'a', big: 2n ** 60n}, {id: 'b1', p: 'b', big: 7}));
  const epoch = s.registry.advance()!;
  expect(epoch.failed.map(({graph}) => graph)).toEqual([bad]);
  expect(epoch.diffs.map(({graph}) => graph)).toEqual([good]);
  expect(rowOf(good, 'b1')!.put).toContain('"big":7');
  // The key that could not be read is taken up again when it can be.
  s.write(set('c', {id: 'a1', p: 'a', big: 1}));
  s.registry.advance();
  const mended = await s.registry.acquire(of(1), {});
  s.write(set('c', {id: 'b1', p: 'a', big: 8}));
  s.registry.advance();
  expect([mended.size, good.size]).toEqual([3, 1]);
});

test('a table that changes as a whole gives its levels up, and those who read anew share again', async () => {
  using s = new Scenario(ISSUES);
  const one = await s.query(upTo(2));
  const two = await s.query(upTo(3));
  s.transact({op: 'truncate', table: 'comment'}, set('comment', {id: 'n1', issue: 'a', author: 'v'}));
  expect(rowOf(two, 'n1')).toBe(rowOf(one, 'n1'));
  expect(operators(s)[0]).toContain('join comment × 2');
  s.transact(set('comment', {id: 'n1', issue: 'c', author: 'v'}));
  expect([s.told(0).remove, s.told(1)]).toEqual([
    ['comment:n1', 'user:v'],
    {add: [], edit: ['comment:n1'], remove: []},
  ]);
});
