import {expect, test} from 'vitest';
import type {AST} from '../../src/zql/ast.ts';
import {child, exists, where} from '../helpers/ast.ts';
import {del, delKey, Scenario, set} from '../helpers/scenario.ts';
import type {TestTable} from '../helpers/test-replica.ts';

const comments = child('id', 'issue', {table: 'comment'});
const owner = child('owner', 'id', {table: 'user'});
const tags = child('id', 'issue', {table: 'issue_tag', related: [child('tag', 'id', {table: 'tag'})]});
const NOTHING = {add: [], edit: [], remove: []};

test('25. child without parent, parent without child, both in one transaction in either order', async () => {
  using s = new Scenario(set('comment', {id: 'c0', issue: 'nowhere'}));
  const graph = await s.query({table: 'issue', related: [comments]});
  expect(graph.size).toBe(0);
  expect(s.transact(set('issue', {id: 'i0'})).add).toEqual(['issue:i0']);
  expect(s.transact(set('issue', {id: 'i1'}), set('comment', {id: 'c1', issue: 'i1'})).add).toHaveLength(2);
  expect(s.transact(set('comment', {id: 'c2', issue: 'i2'}), set('issue', {id: 'i2'})).add).toHaveLength(2);
});

test('26. null keys join nothing, on either side, coming or going', async () => {
  using s = new Scenario([
    ...set('issue', {id: 'i', owner: null}),
    ...set('user', {id: 'u'}),
    ...set('comment', {id: 'c'}),
  ]);
  const graph = await s.query({table: 'issue', related: [owner, comments]});
  expect(graph.size).toBe(1);
  expect(s.transact(set('issue', {id: 'i', owner: 'u'}))).toEqual({
    add: ['user:u'],
    edit: ['issue:i'],
    remove: [],
  });
  expect(s.transact(set('issue', {id: 'i', owner: null})).remove).toEqual(['user:u']);
  expect(s.transact(set('issue', {id: 'i', owner: null, n: 5}))).toEqual({
    add: [],
    edit: ['issue:i'],
    remove: [],
  });
  expect(s.transact(set('comment', {id: 'c', s: 'still nowhere'}))).toEqual(NOTHING);
});

test('27. a parent’s key moves from none to one to many and back', async () => {
  using s = new Scenario([
    ...set('issue', {id: 'i'}),
    ...set('comment', {id: 'a', issue: 'i', author: 'x'}, {id: 'b', author: 'y'}, {id: 'c', author: 'y'}),
  ]);
  await s.query({table: 'issue', related: [child('s', 'author', {table: 'comment'})]});
  const key = (value: string | null) => s.transact(set('issue', {id: 'i', s: value}));
  expect(key('x').add).toEqual(['comment:a']);
  expect(key('y')).toEqual({add: ['comment:b', 'comment:c'], edit: ['issue:i'], remove: ['comment:a']});
  expect(key('x').remove).toEqual(['comment:b', 'comment:c']);
  expect(key('z').remove).toEqual(['comment:a']);
});

test('28. compound keys match as a whole; a compound primary key changes in its second column', async () => {
  const tables: TestTable[] = [
    {name: 'p', columns: {a: 'text', b: 'int4', v: 'text?'}, key: ['a', 'b']},
    {name: 'q', columns: {id: 'text', a: 'text?', b: 'int4?'}, key: ['id'], indexes: [['a', 'b']]},
  ];
  using s = new Scenario(
    [
      ...set('p', {a: 'x', b: 1}, {a: 'x', b: 2}),
      ...set('q', {id: 'q1', a: 'x', b: 1}, {id: 'q2', a: 'x', b: null}, {id: 'q3', a: 'y', b: 1}),
    ],
    tables,
  );
  const graph = await s.query({table: 'p', related: [child(['a', 'b'], ['a', 'b'], {table: 'q'})]});
  await s.query({table: 'q', where: exists(child(['a', 'b'], ['a', 'b'], {table: 'p'}))});
  expect(s.ids(graph, 'q')).toEqual(['q1']);
  expect(s.transact(delKey('p', {a: 'x', b: 1}), set('p', {a: 'x', b: 3}))).toEqual({
    add: ['p:x/3'],
    edit: [],
    remove: ['p:x/1', 'q:q1'],
  });
  expect(s.transact(set('q', {id: 'q3', a: 'x', b: 3})).add).toEqual(['q:q3']);
});

test('29. a child of many parents is told once, and leaves with the last of them', async () => {
  using s = new Scenario([
    ...set('user', {id: 'u', name: 'a'}),
    ...set('issue', ...Array.from({length: 20}, (_, n) => ({id: `i${n}`, owner: 'u'}))),
  ]);
  await s.query({table: 'issue', related: [owner]});
  expect(s.transact(set('user', {id: 'u', name: 'b'}))).toEqual({add: [], edit: ['user:u'], remove: []});
  expect(s.transact(del('issue', ...Array.from({length: 19}, (_, n) => `i${n}`))).remove).not.toContain(
    'user:u',
  );
  expect(s.transact(del('issue', 'i19')).remove).toEqual(['issue:i19', 'user:u']);
});

test('30. self joins: both roles of one row change, a row is its own parent, two are each other’s', async () => {
  using s = new Scenario(set('issue', {id: 'a'}, {id: 'b', parent: 'a'}));
  const parent = child('parent', 'id', {table: 'issue', where: where('n', '<', 5)});
  await s.query({table: 'issue', where: where('n', '>', 0), related: [parent]});
  await s.query({table: 'issue', where: exists(child('id', 'parent', {table: 'issue'}))});
  s.transact(set('issue', {id: 'a', n: 1}, {id: 'b', parent: 'a', n: 2}));
  s.transact(set('issue', {id: 'a', n: 9, parent: 'a'}));
  s.transact(set('issue', {id: 'a', n: 1, parent: 'b'}, {id: 'b', n: 1, parent: 'a'}));
  s.transact(set('issue', {id: 'b', n: 0, parent: 'b'}), del('issue', 'a'));
  s.transact(del('issue', 'b'));
});

test('31. a junction row before and after its target; two to the same target, one leaves', async () => {
  using s = new Scenario(set('issue', {id: 'i'}, {id: 'k'}));
  await s.query({table: 'issue', related: [tags]});
  expect(s.transact(set('issue_tag', {issue: 'i', tag: 't'})).add).toEqual(['issue_tag:i/t']);
  expect(s.transact(set('tag', {id: 't', name: 'x'})).add).toEqual(['tag:t']);
  expect(s.transact(set('issue_tag', {issue: 'k', tag: 't'})).add).toEqual(['issue_tag:k/t']);
  expect(s.transact(delKey('issue_tag', {issue: 'i', tag: 't'})).remove).toEqual(['issue_tag:i/t']);
  expect(s.transact(delKey('issue_tag', {issue: 'k', tag: 't'})).remove).toEqual(['issue_tag:k/t', 'tag:t']);
});

test('32. a row at the root, as related and as witness at once leaves one place and stays in another', async () => {
  using s = new Scenario(set('issue', {id: 'a', n: 1, parent: 'b'}, {id: 'b', n: 1, parent: 'a'}));
  const graph = await s.query({
    table: 'issue',
    where: exists(child('parent', 'id', {table: 'issue'})),
    related: [child('id', 'parent', {table: 'issue'})],
  });
  expect(graph.size).toBe(2);
  expect(s.transact(set('issue', {id: 'b', n: 1, parent: null}))).toEqual({
    add: [],
    edit: ['issue:b'],
    remove: [],
  });
  expect(s.transact(set('issue', {id: 'a', n: 1, parent: null})).remove).toEqual(['issue:a', 'issue:b']);
});

test('33. of two relationships with one alias the last counts', async () => {
  using s = new Scenario([
    ...set('issue', {id: 'i', owner: 'u'}),
    ...set('user', {id: 'u'}),
    ...set('comment', {id: 'c', issue: 'i'}),
  ]);
  const named = (alias: string, related: typeof owner) => ({
    ...related,
    subquery: {...related.subquery, alias},
  });
  const graph = await s.query({table: 'issue', related: [named('x', owner), named('x', comments)]});
  expect([s.ids(graph, 'user'), s.ids(graph, 'comment')]).toEqual([[], ['c']]);
  s.transact(set('user', {id: 'u', name: 'n'}));
});

test('34. four levels: a leaf changes, a middle row moves its whole subtree', async () => {
  using s = new Scenario([
    ...set('user', {id: 'u', org: 'o'}, {id: 'v', org: 'p'}),
    ...set('issue', {id: 'i', owner: 'u'}),
    ...set('comment', {id: 'c', issue: 'i', s: 't'}),
    ...set('tag', {id: 't', name: 'x'}),
  ]);
  const ast: AST = {
    table: 'user',
    where: where('org', '=', 'o'),
    related: [
      child('id', 'owner', {
        table: 'issue',
        related: [child('id', 'issue', {table: 'comment', related: [child('s', 'id', {table: 'tag'})]})],
      }),
    ],
  };
  await s.query(ast);
  expect(s.transact(set('tag', {id: 't', name: 'y'}))).toEqual({add: [], edit: ['tag:t'], remove: []});
  expect(s.transact(set('issue', {id: 'i', owner: 'v'})).remove).toEqual(['comment:c', 'issue:i', 'tag:t']);
  expect(s.transact(set('issue', {id: 'i', owner: 'u'})).add).toEqual(['comment:c', 'issue:i', 'tag:t']);
});

test('35. keys change: of a root, a child, a junction row; two rows swap theirs in one transaction', async () => {
  using s = new Scenario([
    ...set('issue', {id: 'i', owner: 'u'}),
    ...set('user', {id: 'u', name: 'a'}, {id: 'v', name: 'b'}),
    ...set('issue_tag', {issue: 'i', tag: 't'}),
    ...set('tag', {id: 't', name: 'x'}, {id: 't2', name: 'y'}),
  ]);
  await s.query({table: 'issue', related: [owner, tags]});
  expect(s.transact(del('issue', 'i'), set('issue', {id: 'k', owner: 'u'}))).toEqual({
    add: ['issue:k'],
    edit: [],
    remove: ['issue:i', 'issue_tag:i/t', 'tag:t'],
  });
  expect(
    s.transact(del('user', 'u'), set('user', {id: 'w', name: 'a'}), set('issue', {id: 'k', owner: 'w'})),
  ).toEqual({
    add: ['user:w'],
    edit: ['issue:k'],
    remove: ['user:u'],
  });
  s.transact(set('issue_tag', {issue: 'k', tag: 't'}));
  expect(
    s.transact(delKey('issue_tag', {issue: 'k', tag: 't'}), set('issue_tag', {issue: 'k', tag: 't2'})),
  ).toEqual({
    add: ['issue_tag:k/t2', 'tag:t2'],
    edit: [],
    remove: ['issue_tag:k/t', 'tag:t'],
  });
  expect(s.transact(set('tag', {id: 't', name: 'y'}, {id: 't2', name: 'x'}))).toEqual({
    add: [],
    edit: ['tag:t2'],
    remove: [],
  });
});

test('columns of different types never meet, whatever SQLite makes of 1 and "1"', async () => {
  const tables: TestTable[] = [
    {name: 'p', columns: {id: 'text', n: 'int4', b: 'bool'}, key: ['id']},
    {name: 'q', columns: {id: 'text', t: 'text', n: 'int4'}, key: ['id']},
  ];
  using s = new Scenario(
    [...set('p', {id: 'p', n: 1, b: true}), ...set('q', {id: 'q', t: '1', n: 1})],
    tables,
  );
  for (const correlation of [child('n', 't', {table: 'q'}), child('b', 'n', {table: 'q'})]) {
    expect((await s.query({table: 'p', where: exists(correlation)})).size).toBe(0);
    expect((await s.query({table: 'p', related: [correlation]})).size).toBe(1);
  }
});
