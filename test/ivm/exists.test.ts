import {expect, test} from 'vitest';
import {and, child, exists, notExists, or, where} from '../helpers/ast.ts';
import {del, delKey, Scenario, set} from '../helpers/scenario.ts';
import type {TestTable} from '../helpers/test-replica.ts';
import {testRegistry} from '../oracle/run-case.ts';

const comments = child('id', 'issue', {table: 'comment'});
const withComments = {table: 'issue', where: exists(comments)};
const NOTHING = {add: [], edit: [], remove: []};
const ids = (prefix: string, n: number) => Array.from({length: n}, (_, i) => prefix + i);

test('36. children from none to one, two and back; NOT EXISTS the other way round', async () => {
  using s = new Scenario(set('issue', {id: 'i'}));
  await s.query(withComments);
  await s.query({table: 'issue', where: notExists(comments)});
  expect(s.transact(set('comment', {id: 'a', issue: 'i'})).add).toEqual(['comment:a', 'issue:i']);
  expect(s.told(1).remove).toEqual(['issue:i']);
  expect(s.transact(set('comment', {id: 'b', issue: 'i'})).add).toEqual(['comment:b']);
  expect(s.told(1)).toEqual(NOTHING);
  expect(s.transact(del('comment', 'a')).remove).toEqual(['comment:a']);
  expect(s.transact(del('comment', 'b')).remove).toEqual(['comment:b', 'issue:i']);
  expect(s.told(1).add).toEqual(['issue:i']);
});

test('37. the only witness is replaced in one transaction: the parent does not blink', async () => {
  using s = new Scenario([...set('issue', {id: 'i'}), ...set('comment', {id: 'a', issue: 'i'})]);
  await s.query(withComments);
  const told = s.transact(del('comment', 'a'), set('comment', {id: 'b', issue: 'i'}));
  expect(told).toEqual({add: ['comment:b'], edit: [], remove: ['comment:a']});
});

test('38. a child moves from its last parent to its first', async () => {
  using s = new Scenario([...set('issue', {id: 'a'}, {id: 'b'}), ...set('comment', {id: 'c', issue: 'a'})]);
  await s.query(withComments);
  expect(s.transact(set('comment', {id: 'c', issue: 'b'}))).toEqual({
    add: ['issue:b'],
    edit: ['comment:c'],
    remove: ['issue:a'],
  });
});

test('39. a child begins and ceases to match', async () => {
  using s = new Scenario([...set('issue', {id: 'i'}), ...set('comment', {id: 'c', issue: 'i', n: 0})]);
  await s.query({
    table: 'issue',
    where: exists(child('id', 'issue', {table: 'comment', where: where('n', '>', 0)})),
  });
  expect(s.transact(set('comment', {id: 'c', issue: 'i', n: 1})).add).toEqual(['comment:c', 'issue:i']);
  expect(s.transact(set('comment', {id: 'c', issue: 'i', n: 2})).edit).toEqual(['comment:c']);
  expect(s.transact(set('comment', {id: 'c', issue: 'i', n: 0})).remove).toEqual(['comment:c', 'issue:i']);
});

test('40. nested EXISTS flips by its leaf, shared by many in between', async () => {
  using s = new Scenario([
    ...set('user', {id: 'u', name: 'x'}),
    ...set('issue', ...ids('i', 6).map(id => ({id}))),
    ...set('comment', ...ids('i', 6).map(issue => ({id: `c${issue}`, issue, author: 'u'}))),
  ]);
  const byAuthor = child('author', 'id', {table: 'user', where: where('name', '=', 'y')});
  const graph = await s.query({
    table: 'issue',
    where: exists(child('id', 'issue', {table: 'comment', where: exists(byAuthor)})),
  });
  expect(graph.size).toBe(0);
  expect(s.transact(set('user', {id: 'u', name: 'y'})).add).toHaveLength(13);
  expect(s.transact(set('user', {id: 'u', name: 'z'})).remove).toHaveLength(13);
});

test('41. an OR of EXISTS and a plain condition: both come true together, one stays', async () => {
  using s = new Scenario(set('issue', {id: 'i'}));
  await s.query({table: 'issue', where: or(where('n', '>', 0), exists(comments))});
  expect(s.transact(set('issue', {id: 'i', n: 1}), set('comment', {id: 'c', issue: 'i'})).add).toHaveLength(
    2,
  );
  expect(s.transact(set('issue', {id: 'i', n: 0}))).toEqual({add: [], edit: ['issue:i'], remove: []});
  expect(s.transact(set('issue', {id: 'i', n: 1}), del('comment', 'c'))).toEqual({
    add: [],
    edit: ['issue:i'],
    remove: ['comment:c'],
  });
});

test('42. two EXISTS of one relationship with different filters', async () => {
  using s = new Scenario([...set('issue', {id: 'i'}), ...set('comment', {id: 'a', issue: 'i', n: 1})]);
  const having = (n: number) =>
    exists(child('id', 'issue', {table: 'comment', alias: `zsubq_${n}`, where: where('n', '=', n)}));
  const graph = await s.query({table: 'issue', where: and(having(1), having(2))});
  expect(graph.size).toBe(0);
  expect(s.transact(set('comment', {id: 'b', issue: 'i', n: 2})).add).toHaveLength(3);
  expect(s.transact(set('comment', {id: 'a', issue: 'i', n: 2})).remove).toHaveLength(3);
});

test('43. NOT EXISTS in an OR: a parent that matched by the other branch shows the children it has', async () => {
  using s = new Scenario([...set('issue', {id: 'i', n: 1}), ...set('comment', {id: 'c', issue: 'i'})]);
  const graph = await s.query({table: 'issue', where: or(where('n', '=', 1), notExists(comments))});
  expect(s.ids(graph, 'comment')).toEqual(['c']);
  expect(s.transact(set('issue', {id: 'i', n: 0})).remove).toEqual(['comment:c', 'issue:i']);
  expect(s.transact(del('comment', 'c')).add).toEqual(['issue:i']);
});

test('44. a child shared by parents on both sides of a bound leaves', async () => {
  using s = new Scenario([
    ...set('user', {id: 'u'}, {id: 'v'}),
    ...set('issue', ...ids('i', 4).map((id, n) => ({id, n, owner: n === 3 ? 'v' : 'u'}))),
  ]);
  const graph = await s.query({
    table: 'issue',
    where: exists(child('owner', 'id', {table: 'user'})),
    orderBy: [['n', 'asc']],
    limit: 2,
  });
  s.transact(del('user', 'u'));
  expect(s.ids(graph, 'issue')).toEqual(['i3']);
});

test('45. more than three children: three are shown, whatever is deleted or edited', async () => {
  using s = new Scenario([
    ...set('issue', {id: 'i'}),
    ...set('comment', ...ids('c', 6).map(id => ({id, issue: 'i'}))),
  ]);
  const graph = await s.query(withComments);
  const shown = () => s.ids(graph, 'comment');
  const hidden = () => ids('c', 6).filter(id => !shown().includes(id));
  expect(shown()).toHaveLength(3);
  expect(s.transact(set('comment', {id: hidden()[0]!, issue: 'i', s: 'x'}))).toEqual(NOTHING);
  s.transact(del('comment', shown()[0]!));
  expect(shown()).toHaveLength(3);
  s.transact(del('comment', ...shown()));
  expect(shown()).toHaveLength(2);
  s.transact(del('comment', ...shown()));
  expect(graph.size).toBe(0);
  s.transact(set('comment', ...ids('c', 4).map(id => ({id, issue: 'i'}))));
  expect(graph.size).toBe(4);
});

test('46. under a limit a flipped parent pulls in or pushes out a row at the bound', async () => {
  using s = new Scenario([
    ...set('issue', ...ids('i', 4).map((id, n) => ({id, n}))),
    ...set('comment', {id: 'c1', issue: 'i1'}, {id: 'c2', issue: 'i2'}, {id: 'c3', issue: 'i3'}),
  ]);
  await s.query({...withComments, orderBy: [['n', 'asc']], limit: 2});
  expect(s.transact(set('comment', {id: 'c0', issue: 'i0'}))).toEqual({
    add: ['comment:c0', 'issue:i0'],
    edit: [],
    remove: ['comment:c2', 'issue:i2'],
  });
  expect(s.transact(del('comment', 'c1')).add).toEqual(['comment:c2', 'issue:i2']);
});

test('47. one row flips thousands of parents, limited and unlimited', async () => {
  using s = new Scenario([
    ...set('user', {id: 'u', org: 'o'}),
    ...set('issue', ...ids('i', 6000).map((id, n) => ({id, n, owner: 'u'}))),
  ]);
  const condition = exists(child('owner', 'id', {table: 'user', where: where('org', '=', 'p')}));
  const all = await s.registry.acquire({table: 'issue', where: condition}, {});
  const some = await s.registry.acquire(
    {table: 'issue', where: condition, orderBy: [['n', 'desc']], limit: 3},
    {},
  );
  s.transact(set('user', {id: 'u', org: 'p'}));
  expect([all.size, s.ids(some, 'issue')]).toEqual([6001, ['i5997', 'i5998', 'i5999']]);
  s.transact(set('user', {id: 'u', org: 'o'}));
  expect([all.size, some.size]).toEqual([0, 0]);
});

test('a change of contents alone does not visit the parents, whatever their number', async () => {
  using s = new Scenario([
    ...set('user', {id: 'u', org: 'o'}),
    ...set('issue', ...ids('i', 50).map(id => ({id, owner: 'u'}))),
  ]);
  const condition = exists(child('owner', 'id', {table: 'user', where: where('org', '=', 'o')}));
  const graph = await s.registry.acquire({table: 'issue', where: condition}, {});
  const recomputed = () => s.registry.inspectGraphs().find(({id}) => id === graph.id)!.recomputed;
  const strict = testRegistry(s.replica.file, {limits: {parents: 0, touched: 0}});
  const other = await strict.acquire({table: 'issue', where: condition}, {});
  s.write(set('user', {id: 'u', org: 'o', name: 'renamed'}));
  const [diff] = s.registry.advance()!.diffs;
  expect(diff!.changes.map(({op}) => op)).toEqual(['edit']);
  expect(strict.advance()!.diffs).toHaveLength(1);
  expect([recomputed(), strict.inspectGraphs()[0]!.recomputed]).toEqual([0, 0]);
  s.write(set('user', {id: 'u', org: 'p'}));
  expect(strict.advance()!.diffs[0]!.changes).toHaveLength(51);
  expect([strict.inspectGraphs()[0]!.recomputed, other.size]).toEqual([1, 0]);
  strict.close();
});

test('48. rows of permission rules decide and are never told, nor what lies below them', async () => {
  using s = new Scenario([
    ...set('issue', {id: 'i', owner: 'u'}),
    ...set('user', {id: 'u', org: 'o'}),
    ...set('comment', {id: 'c', issue: 'i', author: 'u'}),
    ...set('tag', {id: 'o', name: 'secret'}),
  ]);
  const org = child('org', 'id', {table: 'tag'});
  const allowed = exists(child('owner', 'id', {table: 'user', where: exists(org)}, 'permissions'));
  const graph = await s.query({table: 'issue', where: allowed});
  const nested = await s.query({
    table: 'issue',
    where: exists(
      child('id', 'issue', {
        table: 'comment',
        where: exists(child('author', 'id', {table: 'user'}, 'permissions')),
      }),
    ),
  });
  expect([graph.size, nested.size]).toEqual([1, 2]);
  expect(s.transact(set('user', {id: 'u', org: 'o', name: 'renamed'}))).toEqual(NOTHING);
  expect(s.transact(del('tag', 'o')).remove).toEqual(['issue:i']);
  expect(s.transact(set('tag', {id: 'o', name: 'x'})).add).toEqual(['issue:i']);
});

test('49. a parent comes with the child that satisfies its EXISTS, or falsifies its NOT EXISTS', async () => {
  using s = new Scenario([]);
  await s.query(withComments);
  const without = await s.query({table: 'issue', where: notExists(comments)});
  expect(s.transact(set('issue', {id: 'i'}), set('comment', {id: 'c', issue: 'i'})).add).toHaveLength(2);
  expect(without.size).toBe(0);
  expect(s.transact(del('issue', 'i'), del('comment', 'c')).remove).toHaveLength(2);
});

test('50. flip changes nothing but the way: chained, compound, with values that look alike', async () => {
  const tables: TestTable[] = [
    {name: 'p', columns: {id: 'text', n: 'int4?', t: 'text?', b: 'bool?'}, key: ['id']},
    {
      name: 'q',
      columns: {id: 'text', n: 'int4?', t: 'text?', b: 'bool?'},
      key: ['id'],
      indexes: [['n', 't']],
    },
  ];
  const rows = [
    {n: 1, t: '1', b: true},
    {n: 1, t: 'true', b: false},
    {n: 0, t: '1', b: null},
    {n: null, t: '1', b: true},
  ];
  for (const limit of [undefined, 1, 2])
    for (const flip of [true, false, undefined]) {
      using s = new Scenario(
        ['p', 'q'].flatMap(table => set(table, ...rows.map((row, i) => ({...row, id: `${table}${i}`})))),
        tables,
      );
      const hint = flip === undefined ? {} : {flip};
      const inner = exists(child('t', 't', {table: 'p', where: where('b', '=', true), limit: 1}), hint);
      const graph = await s.query({
        table: 'p',
        where: or(
          exists(child(['n', 't', 'b'], ['n', 't', 'b'], {table: 'q', where: inner}), hint),
          where('n', '=', 7),
        ),
        orderBy: [['id', 'asc']],
        ...(limit && {limit}),
      });
      expect(s.ids(graph, 'q')).toEqual(['q0']);
      s.transact(set('p', {id: 'p9', n: 1, t: 'true', b: false}), del('q', 'q0'));
      s.transact(set('p', {id: 'p8', t: 'true', b: true}));
      expect(s.ids(graph, 'q')).toEqual(['q1']);
    }
});

test('51. tables that the client’s schema leaves out still decide', async () => {
  using s = new Scenario([...set('issue', {id: 'i'}), ...set('comment', {id: 'c', issue: 'i'})]);
  const graph = await s.registry.acquire(withComments, {issue: ['id']});
  expect(graph.size).toBe(2);
});

test('an EXISTS without an index on its key is right, and junctions under a limit as well', async () => {
  using s = new Scenario([
    ...set('issue', ...ids('i', 30).map((id, n) => ({id, n}))),
    ...set('issue_tag', ...ids('i', 30).map((issue, n) => ({issue, tag: `t${n % 5}`}))),
    ...set('tag', ...ids('t', 5).map(id => ({id, name: `name ${id}`}))),
  ]);
  const tagged = exists(
    child('id', 'issue', {
      table: 'issue_tag',
      where: exists(child('tag', 'id', {table: 'tag', where: where('name', '=', 'name t3')})),
    }),
  );
  const graph = await s.query({table: 'issue', where: tagged, orderBy: [['n', 'desc']], limit: 2});
  const unindexed = await s.query({
    table: 'issue',
    where: notExists(child('id', 'author', {table: 'comment'})),
  });
  expect(s.ids(graph, 'issue')).toEqual(['i23', 'i28']);
  s.transact(delKey('issue_tag', {issue: 'i28', tag: 't3'}), set('comment', {id: 'c', author: 'i0'}));
  expect(s.ids(graph, 'issue')).toEqual(['i18', 'i23']);
  expect(unindexed.size).toBe(29);
  s.transact(set('tag', {id: 't3', name: 'other'}, {id: 't1', name: 'name t3'}));
  expect(s.ids(graph, 'issue')).toEqual(['i21', 'i26']);
});
