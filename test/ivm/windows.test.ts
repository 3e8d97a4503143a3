import {expect, test} from 'vitest';
import type {AST} from '../../src/zql/ast.ts';
import {and, child, exists, or, where} from '../helpers/ast.ts';
import {del, Scenario, set} from '../helpers/scenario.ts';

const issues = (...ns: (number | null)[]) => ns.map((r, i) => ({id: `i${i}`, r, n: i}));
const byR = (limit: number, direction: 'asc' | 'desc' = 'asc'): AST => ({
  table: 'issue',
  orderBy: [['r', direction]],
  limit,
});
const NOTHING = {add: [], edit: [], remove: []};

test('11. mixed directions with ties; the key breaks ties upwards even under desc', async () => {
  using s = new Scenario(set('issue', ...issues(1, 1, 2, 2, 1)));
  const graph = await s.query({table: 'issue', orderBy: [['r', 'desc']], limit: 3});
  expect(s.ids(graph, 'issue')).toEqual(['i0', 'i2', 'i3']);
  const mixed = await s.query({
    table: 'issue',
    orderBy: [
      ['r', 'asc'],
      ['n', 'desc'],
    ],
    limit: 2,
  });
  expect(s.ids(mixed, 'issue')).toEqual(['i1', 'i4']);
});

test('12. null comes first; a start at null, at or after it, both directions, in a later column', async () => {
  using s = new Scenario(set('issue', ...issues(null, null, 1, 2)));
  const from = async (
    row: Record<string, null | number | string>,
    exclusive: boolean,
    direction: 'asc' | 'desc',
  ) =>
    s
      .ids(await s.query({table: 'issue', orderBy: [['r', direction]], start: {row, exclusive}}), 'issue')
      .join(' ');
  expect(await from({r: null, id: 'i0'}, true, 'asc')).toBe('i1 i2 i3');
  expect(await from({r: null, id: 'i0'}, false, 'asc')).toBe('i0 i1 i2 i3');
  expect(await from({r: null, id: 'i0'}, true, 'desc')).toBe('i1');
  expect(await from({r: 1, id: 'i2'}, true, 'desc')).toBe('i0 i1');
  expect(await from({r: 1, id: 'i2'}, false, 'desc')).toBe('i0 i1 i2');
  const later = await s.query({
    table: 'issue',
    orderBy: [
      ['b', 'asc'],
      ['r', 'asc'],
    ],
    start: {row: {b: null, r: null, id: 'i0'}, exclusive: true},
  });
  expect(s.ids(later, 'issue')).toEqual(['i1', 'i2', 'i3']);
});

test('13. a start without some columns, of a row that never was or is deleted later', async () => {
  using s = new Scenario(set('issue', ...issues(1, 2, 3)));
  const bare = await s.query({
    table: 'issue',
    orderBy: [['r', 'asc']],
    start: {row: {r: 2}, exclusive: true},
  });
  expect(s.ids(bare, 'issue')).toEqual(['i1', 'i2']);
  const gone = await s.query({
    table: 'issue',
    orderBy: [['r', 'asc']],
    start: {row: {r: 2, id: 'i1'}, exclusive: true},
    limit: 1,
  });
  expect(s.ids(gone, 'issue')).toEqual(['i2']);
  s.transact(del('issue', 'i1'));
  expect(s.ids(gone, 'issue')).toEqual(['i2']);
});

test('14. limit 0 at the root, in related, in EXISTS and NOT EXISTS', async () => {
  using s = new Scenario([...set('issue', {id: 'i'}), ...set('comment', {id: 'c', issue: 'i'})]);
  const comments = child('id', 'issue', {table: 'comment', limit: 0});
  expect(
    (await s.query({table: 'issue', limit: 0, related: [child('id', 'issue', {table: 'comment'})]})).size,
  ).toBe(0);
  expect((await s.query({table: 'issue', related: [comments]})).size).toBe(1);
  expect((await s.query({table: 'issue', where: exists(comments)})).size).toBe(0);
  const negated = {...exists(comments), op: 'NOT EXISTS'} as ReturnType<typeof exists>;
  expect((await s.query({table: 'issue', where: negated})).size).toBe(1);
  s.transact(set('issue', {id: 'i2'}), set('comment', {id: 'c2', issue: 'i2'}));
});

test('15. additions below, at and above the bound, window full or not, limit 1', async () => {
  using s = new Scenario(set('issue', {id: 'b', r: 10}));
  await s.query(byR(2));
  const one = await s.query(byR(1));
  expect(s.transact(set('issue', {id: 'c', r: 20})).add).toEqual(['issue:c']);
  expect(s.transact(set('issue', {id: 'd', r: 30}))).toEqual(NOTHING);
  expect(s.transact(set('issue', {id: 'e', r: 20}))).toEqual(NOTHING);
  expect(s.transact(set('issue', {id: 'a', r: 20}))).toEqual({
    add: ['issue:a'],
    edit: [],
    remove: ['issue:c'],
  });
  expect(s.transact(set('issue', {id: 'z', r: 1}))).toEqual({
    add: ['issue:z'],
    edit: [],
    remove: ['issue:a'],
  });
  expect(s.ids(one, 'issue')).toEqual(['z']);
});

test('16. removals of the first, a middle and the bound row; down to nothing and up again', async () => {
  using s = new Scenario(set('issue', ...issues(1, 2, 3, 4, 5, 6)));
  const graph = await s.query(byR(3));
  expect(s.transact(del('issue', 'i0'))).toEqual({add: ['issue:i3'], edit: [], remove: ['issue:i0']});
  expect(s.transact(del('issue', 'i2'))).toEqual({add: ['issue:i4'], edit: [], remove: ['issue:i2']});
  expect(s.transact(del('issue', 'i4'))).toEqual({add: ['issue:i5'], edit: [], remove: ['issue:i4']});
  expect(s.transact(del('issue', 'i5')).add).toEqual([]);
  s.transact(del('issue', 'i1', 'i3'));
  expect(graph.size).toBe(0);
  s.transact(set('issue', ...issues(9, 8, 7, 6)));
  expect(s.ids(graph, 'issue')).toEqual(['i1', 'i2', 'i3']);
});

test('17. edits within, out of, into and beyond the window; of the bound row itself', async () => {
  using s = new Scenario(set('issue', ...issues(10, 20, 30, 40, 50)));
  await s.query(byR(3));
  const move = (id: string, r: number) => s.transact(set('issue', {id, r}));
  expect(move('i0', 25)).toEqual({add: [], edit: ['issue:i0'], remove: []});
  expect(move('i0', 45)).toEqual({add: ['issue:i3'], edit: [], remove: ['issue:i0']});
  expect(move('i4', 5)).toEqual({add: ['issue:i4'], edit: [], remove: ['issue:i3']});
  expect(move('i0', 60)).toEqual(NOTHING);
  expect(move('i2', 35)).toEqual({add: [], edit: ['issue:i2'], remove: []});
  expect(move('i2', 1)).toEqual({add: [], edit: ['issue:i2'], remove: []});
  expect(move('i1', 100)).toEqual({add: ['issue:i3'], edit: [], remove: ['issue:i1']});
});

test('18. one transaction removes the bound row and adds a smaller and a larger one', async () => {
  using s = new Scenario(set('issue', ...issues(10, 20, 30, 40)));
  await s.query(byR(2));
  const told = s.transact(del('issue', 'i1'), set('issue', {id: 'x', r: 15}, {id: 'y', r: 25}));
  expect(told).toEqual({add: ['issue:x'], edit: [], remove: ['issue:i1']});
});

test('19. one transaction removes the whole window, or moves every row', async () => {
  using s = new Scenario(set('issue', ...Array.from({length: 40}, (_, i) => ({id: `i${i + 10}`, r: i}))));
  const graph = await s.query(byR(5));
  s.transact(del('issue', 'i10', 'i11', 'i12', 'i13', 'i14'));
  expect(s.ids(graph, 'issue')).toEqual(['i15', 'i16', 'i17', 'i18', 'i19']);
  s.transact(set('issue', ...Array.from({length: 35}, (_, i) => ({id: `i${i + 15}`, r: 100 - i}))));
  expect(s.ids(graph, 'issue')).toEqual(['i45', 'i46', 'i47', 'i48', 'i49']);
});

test('20. a window over a nullable column under an OR with EXISTS', async () => {
  using s = new Scenario(set('issue', ...issues(null, 1, null, 2)));
  const graph = await s.query({
    table: 'issue',
    where: or(where('s', '=', 'x'), exists(child('id', 'issue', {table: 'comment'}))),
    orderBy: [['r', 'asc']],
    limit: 2,
  });
  s.transact(set('comment', {id: 'c1', issue: 'i1'}), set('comment', {id: 'c3', issue: 'i3'}));
  expect(s.ids(graph, 'issue')).toEqual(['i1', 'i3']);
  s.transact(set('issue', {id: 'i0', s: 'x'}));
  expect(s.ids(graph, 'issue')).toEqual(['i0', 'i1']);
  s.transact(set('issue', {id: 'i1', r: null}), del('comment', 'c3'));
  s.transact(set('issue', {id: 'i0', r: 5}));
});

test('21. per-parent windows: a child moves between full ones; a parent leaves and returns in one transaction', async () => {
  using s = new Scenario([
    ...set('issue', {id: 'p'}, {id: 'q'}),
    ...set('comment', ...['a', 'b', 'c'].map((id, n) => ({id, issue: 'p', n}))),
    ...set('comment', ...['d', 'e', 'f'].map((id, n) => ({id, issue: 'q', n}))),
  ]);
  const graph = await s.query({
    table: 'issue',
    related: [child('id', 'issue', {table: 'comment', orderBy: [['n', 'asc']], limit: 2})],
  });
  expect(s.ids(graph, 'comment')).toEqual(['a', 'b', 'd', 'e']);
  s.transact(set('comment', {id: 'a', issue: 'q', n: -1}));
  expect(s.ids(graph, 'comment')).toEqual(['a', 'b', 'c', 'd']);
  expect(s.transact(del('issue', 'q'), set('issue', {id: 'q'})).remove).toEqual([]);
  expect(
    s.transact(set('issue', {id: 'r'}), set('comment', ...['x', 'y', 'z'].map(id => ({id, issue: 'r'})))).add,
  ).toEqual(['comment:x', 'comment:y', 'issue:r']);
});

test('22. a limited child below a limited root: eviction takes the grandchildren along', async () => {
  using s = new Scenario([
    ...set('issue', ...issues(1, 2, 3)),
    ...set(
      'comment',
      ...['i0', 'i1', 'i2'].flatMap(issue =>
        [0, 1, 2].map(n => ({id: issue + n, issue, n, author: `u${n}`})),
      ),
    ),
    ...set('user', {id: 'u0'}, {id: 'u1'}, {id: 'u2'}),
  ]);
  const graph = await s.query({
    ...byR(2),
    related: [
      child('id', 'issue', {
        table: 'comment',
        orderBy: [['n', 'desc']],
        limit: 1,
        related: [child('author', 'id', {table: 'user'})],
      }),
    ],
  });
  expect(s.ids(graph, 'comment')).toEqual(['i02', 'i12']);
  expect(s.transact(del('comment', 'i02', 'i12')).add).toEqual(['comment:i01', 'comment:i11', 'user:u1']);
  expect(s.transact(del('issue', 'i0'))).toEqual({
    add: ['comment:i22', 'issue:i2', 'user:u2'],
    edit: [],
    remove: ['comment:i01', 'issue:i0'],
  });
});

test('23. start, limit and a flipped EXISTS in an OR with a self join; an edit crosses the start', async () => {
  using s = new Scenario(set('issue', ...issues(1, 2, 3, 4, 5), {id: 'k', r: 9, parent: 'i3'}));
  const graph = await s.query({
    table: 'issue',
    where: or(exists(child('id', 'parent', {table: 'issue'}), {flip: true}), where('r', '<', 4)),
    orderBy: [['r', 'asc']],
    start: {row: {r: 2, id: 'i1'}, exclusive: true},
    limit: 2,
  });
  expect(s.ids(graph, 'issue')).toEqual(['i2', 'i3', 'k']);
  s.transact(set('issue', {id: 'i2', r: 0}));
  expect(s.ids(graph, 'issue')).toEqual(['i3', 'k']);
  s.transact(set('issue', {id: 'i0', r: 3}));
  expect(s.ids(graph, 'issue')).toEqual(['i0', 'i3', 'k']);
});

test('24. a child of a parent outside the window is not told', async () => {
  using s = new Scenario(set('issue', ...issues(1, 2)));
  await s.query({...byR(1), related: [child('id', 'issue', {table: 'comment'})]});
  expect(s.transact(set('comment', {id: 'c', issue: 'i1'}))).toEqual(NOTHING);
  expect(s.transact(set('comment', {id: 'd', issue: 'i0'})).add).toEqual(['comment:d']);
});

test('a reserve keeps a sorted window from being searched again, and no row is missed when it runs dry', async () => {
  using s = new Scenario(
    set('issue', ...Array.from({length: 100}, (_, i) => ({id: `i${100 + i}`, r: i % 7, s: 'x'}))),
  );
  const graph = await s.query({
    table: 'issue',
    where: and(where('s', '=', 'x')),
    orderBy: [['r', 'desc']],
    limit: 4,
  });
  for (let i = 0; i < 100; i += 3) {
    s.transact(set('issue', {id: `i${100 + i}`, r: 0, s: i % 2 ? 'x' : 'y'}));
    expect(graph.size).toBe(4);
  }
  while (graph.size > 0) s.transact(del('issue', ...s.ids(graph, 'issue')));
});
