import {expect, test} from 'vitest';
import {and, child, exists, notExists, or, where} from '../helpers/ast.ts';
import {del, Scenario, set} from '../helpers/scenario.ts';
import type {TestTable} from '../helpers/test-replica.ts';

const scalar = {scalar: true};
const userIs = (id: string) => child('owner', 'id', {table: 'user', where: where('id', '=', id)});
const base = () => [
  ...set('user', {id: 'u', name: 'a', org: 'o'}, {id: 'v', name: 'b'}),
  ...set('issue', {id: 'i', owner: 'u'}, {id: 'k', owner: 'v'}, {id: 'n'}),
];
const NOTHING = {add: [], edit: [], remove: []};

test('52. EXISTS and NOT EXISTS of one row, of none, of a null value; the row itself is synced', async () => {
  using s = new Scenario(base());
  const of = async (condition: ReturnType<typeof exists>) => {
    const graph = await s.query({table: 'issue', where: condition});
    return [s.ids(graph, 'issue').join(''), s.ids(graph, 'user').join('')];
  };
  expect(await of(exists(userIs('u'), scalar))).toEqual(['i', 'u']);
  expect(await of(notExists(userIs('u'), scalar))).toEqual(['kn', 'u']);
  expect(await of(exists(userIs('w'), scalar))).toEqual(['', '']);
  expect(await of(notExists(userIs('w'), scalar))).toEqual(['ikn', '']);
  const byOrg = child('s', 'org', {table: 'user', where: where('id', '=', 'v')});
  expect(await of(exists(byOrg, scalar))).toEqual(['', 'v']);
  expect(await of(notExists(byOrg, scalar))).toEqual(['ikn', 'v']);
});

test('52. without all of a unique key it is an EXISTS like any other; so inside OR, nested and in related', async () => {
  using s = new Scenario(base());
  const named = child('owner', 'id', {table: 'user', where: where('name', '=', 'q')});
  expect((await s.query({table: 'issue', where: exists(named, scalar)})).size).toBe(0);
  const nested = child('id', 'issue', {
    table: 'comment',
    where: exists(child('author', 'id', {table: 'user', where: where('id', '=', 'u')}), scalar),
  });
  const graph = await s.query({
    table: 'issue',
    where: or(exists(userIs('u'), scalar), exists(nested)),
    related: [
      child('id', 'issue', {
        table: 'comment',
        where: exists(child('author', 'id', {table: 'user', where: where('id', '=', 'v')}), scalar),
      }),
    ],
  });
  expect(s.ids(graph, 'user')).toEqual(['u', 'v']);
  s.transact(set('comment', {id: 'c', issue: 'k', author: 'u'}, {id: 'd', issue: 'i', author: 'v'}));
  expect(s.ids(graph, 'comment')).toEqual(['c', 'd']);
});

test('52. a composite unique key counts when all of it is named', async () => {
  const tables: TestTable[] = [
    {name: 'p', columns: {id: 'text', v: 'text?'}, key: ['id']},
    {name: 'q', columns: {a: 'text', b: 'int4', v: 'text?'}, key: ['a', 'b']},
  ];
  using s = new Scenario([...set('p', {id: 'p', v: 'x'}), ...set('q', {a: 'a', b: 1, v: 'y'})], tables);
  const both = await s.query({
    table: 'p',
    where: exists(
      child('v', 'v', {table: 'q', where: and(where('a', '=', 'a'), where('b', '=', 1))}),
      scalar,
    ),
  });
  const half = await s.query({
    table: 'p',
    where: exists(child('v', 'v', {table: 'q', where: and(where('a', '=', 'a'))}), scalar),
  });
  expect([s.ids(both, 'q'), s.ids(half, 'q')]).toEqual([['a/1'], []]);
});

test('53. the value changes, the row comes and goes, another column changes', async () => {
  using s = new Scenario([
    ...set('tag', {id: 't', name: 'x'}),
    ...set('issue', {id: 'i', s: 'x'}, {id: 'k', s: 'y'}),
  ]);
  await s.query({
    table: 'issue',
    where: exists(child('s', 'name', {table: 'tag', where: where('id', '=', 't')}), scalar),
  });
  expect(s.transact(set('tag', {id: 't', name: 'y'}))).toEqual({
    add: ['issue:k'],
    edit: ['tag:t'],
    remove: ['issue:i'],
  });
  expect(s.transact(del('tag', 't')).remove).toEqual(['issue:k', 'tag:t']);
  expect(s.transact(set('tag', {id: 't', name: 'x'})).add).toEqual(['issue:i', 'tag:t']);
  expect(s.transact(set('tag', {id: 'other', name: 'x'}))).toEqual(NOTHING);
});

test('53. a compound correlation compares all of its columns', async () => {
  using s = new Scenario([
    ...set('user', {id: 'u', name: 'a', org: 'o'}),
    ...set('issue', {id: 'i', owner: 'u', s: 'o'}, {id: 'k', owner: 'u', s: 'other'}),
  ]);
  const graph = await s.query({
    table: 'issue',
    where: exists(
      child(['owner', 's'], ['id', 'org'], {table: 'user', where: where('id', '=', 'u')}),
      scalar,
    ),
  });
  expect(s.ids(graph, 'issue')).toEqual(['i']);
  // No companion: a row that nobody meets is not synced.
  s.transact(set('issue', {id: 'i', owner: 'u', s: 'x'}));
  expect(graph.size).toBe(0);
});

test('the companion of a permission rule is never synced', async () => {
  using s = new Scenario(base());
  const graph = await s.query({
    table: 'issue',
    where: exists({...userIs('u'), system: 'permissions'}, scalar),
  });
  expect([s.ids(graph, 'issue'), s.ids(graph, 'user')]).toEqual([['i'], []]);
  expect(s.transact(set('user', {id: 'u', name: 'z'}))).toEqual(NOTHING);
});
