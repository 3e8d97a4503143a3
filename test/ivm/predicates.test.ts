import {expect, test} from 'vitest';
import {transformClientQuery} from '../../src/auth/read-permissions.ts';
import type {Condition, SimpleOperator} from '../../src/zql/ast.ts';
import {and, or, where} from '../helpers/ast.ts';
import {Scenario, set} from '../helpers/scenario.ts';
import type {TestRow} from '../helpers/test-replica.ts';

/** Issues that match a condition, by their ids; what the engine says is checked against the meaning of ZQL as well. */
const matching = async (condition: Condition, rows: readonly TestRow[]): Promise<string> => {
  using s = new Scenario(set('issue', ...rows));
  const ids = s.ids(await s.query({table: 'issue', where: condition}), 'issue').join('');
  // The same by a change instead of a hydration.
  using later = new Scenario([]);
  const graph = await later.query({table: 'issue', where: condition});
  later.transact(set('issue', ...rows));
  expect(later.ids(graph, 'issue').join('')).toBe(ids);
  return ids;
};
const texts = (...values: (string | null)[]) => values.map((s, i) => ({id: String.fromCharCode(97 + i), s}));

test('1. no operator but IS finds null, neither in the column nor as the literal', async () => {
  const rows = texts(null, 'x', 'y');
  const ops: [SimpleOperator, string | readonly string[], string][] = [
    ['=', 'x', 'b'],
    ['!=', 'x', 'c'],
    ['NOT IN', ['x'], 'c'],
    ['NOT LIKE', 'x%', 'c'],
    ['NOT ILIKE', 'X%', 'c'],
    ['<', 'z', 'bc'],
  ];
  for (const [op, value, expected] of ops) expect(await matching(where('s', op, value), rows)).toBe(expected);
  for (const op of ['=', '!=', '<', '>', '<=', '>=', 'IN', 'NOT IN', 'LIKE', 'NOT LIKE', 'ILIKE'] as const)
    expect(await matching(where('s', op, null), rows)).toBe('');
});

test('2. IS and IS NOT compare null as a value', async () => {
  const rows = texts(null, 'x');
  expect(await matching(where('s', 'IS', null), rows)).toBe('a');
  expect(await matching(where('s', 'IS NOT', null), rows)).toBe('b');
  expect(await matching(where('s', 'IS', 'x'), rows)).toBe('b');
  expect(await matching(where('s', 'IS NOT', 'x'), rows)).toBe('a');
  expect(await matching(where('s', 'IS NOT', 'q'), rows)).toBe('ab');
});

test('3. IN of nothing is false, NOT IN of nothing is true but for null', async () => {
  const rows = texts(null, 'x');
  expect(await matching(where('s', 'IN', []), rows)).toBe('');
  expect(await matching(where('s', 'NOT IN', []), rows)).toBe('b');
});

test('4. text is ordered by code points, above U+FFFF too', async () => {
  const rows = texts('\ufffd', '\u{1f600}', 'z');
  expect(await matching(where('s', '>', '\ufffd'), rows)).toBe('b');
  using s = new Scenario(set('issue', ...rows));
  const graph = await s.query({table: 'issue', orderBy: [['s', 'asc']], limit: 2});
  expect(s.ids(graph, 'issue')).toEqual(['a', 'c']);
  expect(s.transact(set('issue', {id: 'd', s: '\u{10000}'}))).toEqual({add: [], edit: [], remove: []});
});

test('5. LIKE: wildcards cross lines, the rest is literal, backslash escapes, a lone one is refused', async () => {
  const rows = texts('foo', 'fooa\nbar', 'a.c', 'abc', '10%', 'a_b', 'a\\b', '\u{1f600}');
  const like = (pattern: string) => matching(where('s', 'LIKE', pattern), rows);
  expect(await like('foo%')).toBe('ab');
  expect(await like('foo_')).toBe('');
  expect(await like('fooa_bar')).toBe('b');
  expect(await like('a.c')).toBe('c');
  expect(await like('%\\%')).toBe('e');
  expect(await like('a\\_b')).toBe('f');
  expect(await like('a\\\\b')).toBe('g');
  expect(await like('_')).toBe('h');
  await expect(like('a\\')).rejects.toThrow(/backslash/);
});

test('6. ILIKE lowers letter by letter, whatever the alphabet', async () => {
  const rows = texts('ÜBER', 'ПРИВЕТ', 'ΑΣ', 'ας', 'ß', 'ss', 'A_b');
  const ilike = (pattern: string) => matching(where('s', 'ILIKE', pattern), rows);
  expect(await ilike('über')).toBe('a');
  expect(await ilike('%ивет')).toBe('b');
  expect(await ilike('ασ')).toBe('c');
  expect(await ilike('ΑΣ')).toBe('c');
  expect(await ilike('%ς')).toBe('d');
  expect(await ilike('SS')).toBe('f');
  expect(await ilike('a\\_%')).toBe('g');
});

test('7. empty and, empty or, constants, nesting', async () => {
  const rows = texts('x', 'y');
  const literal = (
    left: string | number | null,
    op: SimpleOperator,
    right: string | number | null,
  ): Condition => ({
    type: 'simple',
    op,
    left: {type: 'literal', value: left},
    right: {type: 'literal', value: right},
  });
  expect(await matching(and(), rows)).toBe('ab');
  expect(await matching(or(), rows)).toBe('');
  expect(await matching(or(and(), or()), rows)).toBe('ab');
  expect(await matching(and(or(where('s', '=', 'x'), or(where('s', '=', 'y'))), and(and())), rows)).toBe(
    'ab',
  );
  expect(await matching(literal(1, '=', 1), rows)).toBe('ab');
  expect(await matching(literal('b', 'LIKE', 'a%'), rows)).toBe('');
  expect(await matching(literal(null, '!=', 1), rows)).toBe('');
  expect(await matching(or(literal(null, 'IS', null), where('s', '=', 'x')), rows)).toBe('ab');
});

test('8. a claim that is missing is null and hides rows; claims may be nested', async () => {
  const rule = (...path: string[]): Condition => ({
    type: 'simple',
    op: '=',
    left: {type: 'column', name: 's'},
    right: {type: 'static', anchor: 'authData', field: path},
  });
  const bound = (claims: Record<string, unknown>, ...path: string[]) =>
    transformClientQuery(
      {table: 'issue'},
      {tables: {issue: {row: {select: [['allow', rule(...path)]]}}}} as never,
      claims,
    ).where!;
  const rows = texts('x', null);
  expect(await matching(bound({sub: 'x'}, 'sub'), rows)).toBe('a');
  expect(await matching(bound({}, 'sub'), rows)).toBe('');
  expect(await matching(bound({a: {b: 'x'}}, 'a', 'b'), rows)).toBe('a');
  expect(await matching(bound({a: null}, 'a', 'b'), rows)).toBe('');
});

test('9. booleans, alone and in lists', async () => {
  const rows = [{id: 'a', b: true}, {id: 'b', b: false}, {id: 'c'}];
  expect(await matching(where('b', '=', true), rows)).toBe('a');
  expect(await matching(where('b', '!=', true), rows)).toBe('b');
  expect(await matching(where('b', 'IN', [true, false]), rows)).toBe('ab');
  expect(await matching(where('b', 'NOT IN', [true]), rows)).toBe('b');
  expect(await matching(where('b', 'IS NOT', true), rows)).toBe('bc');
  expect(await matching(where('b', '<', true), rows)).toBe('b');
});

test('10. a literal of another type equals nothing and cannot be ordered', async () => {
  const rows = [{id: 'a', n: 1, s: '1', b: true}];
  expect(await matching(where('n', '=', '1'), rows)).toBe('');
  expect(await matching(where('s', '=', 1), rows)).toBe('');
  expect(await matching(where('b', '=', 1), rows)).toBe('');
  expect(await matching(where('n', 'IN', ['1']), rows)).toBe('');
  expect(await matching(where('n', '!=', '1'), rows)).toBe('a');
  expect(await matching(where('n', 'IS NOT', '1'), rows)).toBe('a');
  await expect(matching(where('n', '<', '1'), rows)).rejects.toThrow(/cannot be compared/);
  await expect(matching(where('n', 'LIKE', '1'), rows)).rejects.toThrow(/needs a string column/);
  await expect(matching(where('j', '=', 1), rows)).rejects.toThrow(/JSON/);
});

test('as many alternatives as an app may list by hand', async () => {
  const rows = texts('s1', 's2999', 'x');
  const listed = (op: SimpleOperator) => Array.from({length: 3000}, (_, i) => where('s', op, `s${i}`));
  expect(await matching(or(...listed('=')), rows)).toBe('ab');
  expect(await matching(and(...listed('!=')), rows)).toBe('c');
});
