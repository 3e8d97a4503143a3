import {expect, test} from 'vitest';
import {createQueryRegistry} from '../../src/ivm/query-registry.ts';
import type {QueryGraph} from '../../src/ivm/registry.ts';
import {silentLog} from '../../src/observe/log.ts';
import {and, child, exists, where} from '../helpers/ast.ts';
import {del, Scenario, set} from '../helpers/scenario.ts';
import type {TestTable} from '../helpers/test-replica.ts';
import {testRegistry} from '../oracle/run-case.ts';

const NOTHING = {add: [], edit: [], remove: []};
const byId = (id: string) => ({table: 'issue', where: where('id', '=', id)});
const touched = (graph: QueryGraph, s: Scenario) =>
  s.registry.inspectGraphs().find(({id}) => id === graph.id)!.advances;

test('54. coalesced changes of one row; nothing from insert and delete; an edit from delete and insert', async () => {
  using s = new Scenario(set('issue', {id: 'i', n: 1}));
  await s.query({table: 'issue'});
  s.write(set('issue', {id: 'i', n: 2}));
  s.write(set('issue', {id: 'i', n: 3}), set('issue', {id: 'x'}));
  s.write(del('issue', 'x'));
  expect(s.advance()).toEqual({add: [], edit: ['issue:i'], remove: []});
  s.write(del('issue', 'i'));
  s.write(set('issue', {id: 'i', n: 3}));
  expect(s.advance()).toEqual({add: [], edit: ['issue:i'], remove: []});
});

test('55. a unique value moves from one row to another', async () => {
  const tables: TestTable[] = [{name: 't', columns: {id: 'text', u: 'int4?'}, key: ['id'], uniques: [['u']]}];
  using s = new Scenario(set('t', {id: 'a', u: 1}, {id: 'b', u: 2}), tables);
  const graph = await s.query({table: 't', where: where('u', '=', 1)});
  expect(s.transact(set('t', {id: 'a', u: 3}), set('t', {id: 'b', u: 1}))).toEqual({
    add: ['t:b'],
    edit: [],
    remove: ['t:a'],
  });
  s.transact(set('t', {id: 'b', u: null}), set('t', {id: 'a', u: 1}));
  expect(s.ids(graph, 't')).toEqual(['a']);
});

test('56. a column that no condition names is sent; a row in no result is not', async () => {
  using s = new Scenario(set('issue', {id: 'i', n: 1}, {id: 'k', n: 0}));
  await s.query({table: 'issue', where: where('n', '=', 1)});
  expect(s.transact(set('issue', {id: 'i', n: 1, j: {a: 1}})).edit).toEqual(['issue:i']);
  expect(s.transact(set('issue', {id: 'k', n: 0, j: {a: 1}}))).toEqual(NOTHING);
});

test('57. a change costs the graphs it may concern: by table, by the old or the new value, by demanded key', async () => {
  using s = new Scenario([
    ...set('issue', {id: 'a', owner: 'u'}, {id: 'b', owner: 'v'}),
    ...set('user', {id: 'u'}, {id: 'v'}),
  ]);
  const a = await s.query({...byId('a'), related: [child('owner', 'id', {table: 'user'})]});
  const b = await s.query({...byId('b'), related: [child('owner', 'id', {table: 'user'})]});
  const us = await s.query({table: 'issue', where: where('owner', '=', 'u')});
  const steps = () => [touched(a, s), touched(b, s), touched(us, s)];
  s.transact(set('tag', {id: 't', name: 'x'}));
  expect(steps()).toEqual([0, 0, 0]);
  s.transact(set('issue', {id: 'c', owner: 'w'}));
  expect(steps()).toEqual([0, 0, 0]);
  s.transact(set('user', {id: 'u', name: 'x'}));
  expect(steps()).toEqual([1, 0, 0]);
  s.transact(set('issue', {id: 'b', owner: 'u'}));
  expect(steps()).toEqual([1, 1, 1]);
  s.transact(set('issue', {id: 'b', owner: 'w'}));
  expect(steps()).toEqual([1, 2, 2]);
  s.transact(set('user', {id: 'v', name: 'nobody demands it any more'}));
  expect(steps()).toEqual([1, 2, 2]);
});

test('58. truncated tables, several in one transaction, and what is written after', async () => {
  using s = new Scenario([...set('issue', {id: 'a'}, {id: 'b'}), ...set('comment', {id: 'c', issue: 'a'})]);
  await s.query({table: 'issue', related: [child('id', 'issue', {table: 'comment'})]});
  await s.query({table: 'tag'});
  const told = s.transact(
    {op: 'truncate', table: 'issue'},
    {op: 'truncate', table: 'comment'},
    set('issue', {id: 'b'}),
  );
  expect(told).toEqual({add: [], edit: ['issue:b'], remove: ['comment:c', 'issue:a']});
  expect(touched(await s.query({table: 'tag'}), s)).toBe(0);
});

test('59. one graph for all who ask the same; a third joins between versions, one leaves meanwhile', async () => {
  using s = new Scenario(set('issue', {id: 'a', n: 1}));
  const ast = {table: 'issue', where: and(and(where('n', '=', 1)))};
  const [one, two] = await Promise.all([
    s.query(ast),
    s.query({table: 'issue', where: and(where('n', '=', 1))}),
  ]);
  expect(one).toBe(two);
  s.transact(set('issue', {id: 'b', n: 1}));
  const three = await s.query(ast);
  expect(three).toBe(one);
  s.registry.release(one);
  s.transact(set('issue', {id: 'c', n: 1}));
  expect(three.size).toBe(3);
  expect(s.registry.inspectGraphs()).toHaveLength(1);
});

test('60. different claims give different graphs', async () => {
  using s = new Scenario(set('issue', {id: 'a', owner: 'u'}));
  const of = (user: string) => s.query({table: 'issue', where: where('owner', '=', user)});
  expect(await of('u')).not.toBe(await of('v'));
});

test('62. an unsafe integer or broken JSON ends only the queries that would return the row', async () => {
  const tables: TestTable[] = [{name: 't', columns: {id: 'text', n: 'int8?', j: 'jsonb?'}, key: ['id']}];
  using s = new Scenario(set('t', {id: 'a', n: 1}, {id: 'b', n: 1}, {id: 'c', n: 1}), tables);
  const open = (id: string) => s.registry.acquire({table: 't', where: where('id', '=', id)}, {});
  const [a, b, c] = [await open('a'), await open('b'), await open('c')];
  s.write(set('t', {id: 'a', n: 2n ** 60n}, {id: 'b', n: 2}, {id: 'c', n: 3}));
  s.replica.db.prepare(`UPDATE t SET j = '{broken' WHERE id = 'b'`).run();
  const epoch = s.registry.advance()!;
  expect(epoch.failed.map(({graph, error}) => [graph, error.message])).toEqual([
    [a, expect.stringMatching(/t\.n is beyond/)],
    [b, expect.stringMatching(/JSON/)],
  ]);
  expect(epoch.diffs.map(({graph}) => graph)).toEqual([c]);
  await expect(open('a')).rejects.toThrow(/t\.n is beyond/);
  // Given up, it is reached by nothing any more, and releasing it is harmless.
  s.registry.release(a);
  s.replica.db.prepare(`UPDATE t SET j = NULL WHERE id = 'b'`).run();
  s.write(set('t', {id: 'a', n: 5}));
  expect(s.registry.advance()!.failed).toEqual([]);
  expect((await open('a')).size).toBe(1);
});

test('62. a key beyond ±(2^53 − 1) ends the queries that would return its row, also when it comes later', async () => {
  const tables: TestTable[] = [{name: 't', columns: {id: 'int8', n: 'int4'}, key: ['id']}];
  using s = new Scenario(set('t', {id: 1, n: 1}), tables);
  const [all, some] = [
    await s.registry.acquire({table: 't'}, {}),
    await s.query({table: 't', where: where('n', '=', 1)}),
  ];
  s.replica.transact(set('t', {id: 2n ** 53n + 1n, n: 2}));
  expect(s.registry.advance()!.failed.map(({graph, error}) => [graph, error.message])).toEqual([
    [all, expect.stringMatching(/t\.id is beyond/)],
  ]);
  expect(some.size).toBe(1);
});

test('63. a long hydration lets others hydrate and versions pass, and joins them in the end', async () => {
  using s = new Scenario(set('issue', ...Array.from({length: 5000}, (_, n) => ({id: `i${n}`, n}))));
  const registry = testRegistry(s.replica.file, {yieldMs: 0});
  const settled: string[] = [];
  const slow = registry.acquire({table: 'issue'}, {}).then(graph => {
    settled.push('slow');
    return graph;
  });
  const quick = registry.acquire(byId('i7'), {}).then(graph => {
    settled.push('quick');
    return graph;
  });
  const small = await quick;
  expect(settled).toEqual(['quick']);
  s.write(set('issue', {id: 'i7', n: -1}), del('issue', 'i9'), set('issue', {id: 'new', n: 1}));
  expect(registry.advance()!.diffs.map(({graph}) => graph)).toEqual([small]);
  expect(settled).toEqual(['quick']);
  const large = await slow;
  expect([large.size, large.get(small.rows()[0]!.id)]).toEqual([5000, small.rows()[0]]);
  s.write(del('issue', 'i7'));
  expect(registry.advance()!.diffs).toHaveLength(2);
  registry.close();
});

test('65. a change of very many rows neither resets other graphs nor keeps its own from being right', async () => {
  const many = Array.from({length: 6000}, (_, n) => ({id: `i${n}`, n, owner: 'u'}));
  using s = new Scenario([...set('user', {id: 'u'}), ...set('issue', ...many)]);
  const counting = await s.registry.acquire(
    {table: 'issue', where: exists(child('owner', 'id', {table: 'user', where: where('org', '=', 'o')}))},
    {},
  );
  const other = await s.registry.acquire({table: 'issue', where: where('n', '<', 3)}, {});
  s.write(set('user', {id: 'u', org: 'o'}));
  const epoch = s.registry.advance()!;
  expect(epoch.diffs.map(({graph, changes}) => [graph, changes.length])).toEqual([[counting, 6001]]);
  s.write(set('issue', ...many.map(row => ({...row, s: 'x'}))));
  const sizes = s.registry.advance()!.diffs.map(({graph, changes}) => [graph, changes.length]);
  expect(new Map(sizes as [QueryGraph, number][])).toEqual(
    new Map([
      [counting, 6000],
      [other, 3],
    ]),
  );
});

test('a transaction of very many rows is not read row by row, and ends in the same', async () => {
  using s = new Scenario([]);
  const small = await s.registry.acquire({table: 'issue', where: where('n', '<', 3)}, {});
  const tags = await s.query({table: 'tag'});
  s.write(
    set('issue', ...Array.from({length: 20_001}, (_, n) => ({id: `i${n}`, n}))),
    set('tag', {id: 't', name: 'x'}),
  );
  expect(s.advance().add).toEqual(['tag:t']);
  expect([s.ids(small, 'issue'), tags.size]).toEqual([['i0', 'i1', 'i2'], 1]);
});

test('66. a row older than its table’s shape is told with the version of the shape', async () => {
  using s = new Scenario([]);
  s.write(set('tag', {id: 't', name: 'x'}));
  s.replica.db
    .prepare(`UPDATE "_zero.tableMetadata" SET minRowVersion = '5zzzzz' WHERE "table" = 'tag'`)
    .run();
  const registry = testRegistry(s.replica.file);
  const graph = await registry.acquire({table: 'tag'}, {});
  expect(graph.rows()[0]!.rowVersion).toBe('5zzzzz');
  registry.close();
});

test('references are counted whatever the order of leaving; idle graphs go when they hold too much', async () => {
  using s = new Scenario(set('issue', ...Array.from({length: 10}, (_, n) => ({id: `i${n}`}))));
  const asts = ['i0', 'i1', 'i2'].map(byId);
  const orders = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  for (const order of orders) {
    const held = await Promise.all(
      asts.flatMap(ast => [s.registry.acquire(ast, {}), s.registry.acquire(ast, {})]),
    );
    expect(s.registry.inspectGraphs().map(graph => graph.subscribers)).toEqual([2, 2, 2]);
    for (const i of order) {
      s.registry.release(held[i * 2]!);
      s.write(set('issue', {id: `i${i}`, n: i + 1}));
      expect(s.registry.advance()!.diffs).toHaveLength(1);
    }
    for (const i of order) {
      s.registry.release(held[i * 2 + 1]!);
      s.write(set('issue', {id: `i${i}`, n: i}));
      expect(s.registry.advance()!.diffs).toHaveLength(0);
    }
    expect(s.registry.inspectGraphs()).toHaveLength(0);
  }
  const idle = createQueryRegistry({
    replicaFile: s.replica.file,
    appID: 'app',
    log: silentLog,
    slowHydrateMs: 1e9,
    lingerRows: 12,
  });
  const all = await idle.acquire({table: 'issue'}, {});
  const first = await idle.acquire(byId('i0'), {});
  const second = await idle.acquire(byId('i1'), {});
  for (const graph of [all, first, second]) idle.release(graph);
  expect(idle.inspectGraphs()).toHaveLength(3);
  const back = await idle.acquire(byId('i0'), {});
  expect(back).toBe(first);
  const third = await idle.acquire({table: 'issue', where: where('n', '>=', 0), limit: 2}, {});
  idle.release(third);
  expect(idle.inspectGraphs().map(({id}) => id)).not.toContain(all.id);
  idle.close();
});

test('a query that cannot be answered leaves nothing behind', async () => {
  using s = new Scenario([]);
  await expect(s.registry.acquire({table: 'nowhere'}, {})).rejects.toThrow(/no table "nowhere"/);
  await expect(s.registry.acquire({table: 'issue', where: where('nothing', '=', 1)}, {})).rejects.toThrow(
    /no synced column/,
  );
  await expect(s.registry.acquire({table: 'issue', limit: -1}, {})).rejects.toThrow(/limit/);
  await expect(s.registry.acquire({table: 'issue', orderBy: [['j', 'asc']]}, {})).rejects.toThrow(/JSON/);
  expect(s.registry.inspectGraphs()).toHaveLength(0);
  s.transact(set('issue', {id: 'i'}));
});
