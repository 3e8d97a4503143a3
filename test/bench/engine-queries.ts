import type {AST, Condition, CorrelatedSubquery} from '../../src/zql/ast.ts';
import {and, exists, or, where} from '../helpers/ast.ts';

/** The queries of the targets, as ASTs. `i`: a number that varies the constants. */
const pad = (prefix: string, width: number, n: number) => prefix + String(n).padStart(width, '0');
const child = (parent: string, childField: string, subquery: AST, hidden = false): CorrelatedSubquery => ({
  correlation: {parentField: [parent], childField: [childField]},
  subquery,
  ...(hidden && {hidden}),
  system: 'client',
});
const labelNamed = (condition: Condition): CorrelatedSubquery =>
  child('id', 'issue', {
    table: 'issue_label',
    alias: 'zsubq_zhidden_labels',
    where: exists(child('label', 'id', {table: 'label', alias: 'zsubq_labels', where: condition})),
  });
const labels = child(
  'id',
  'issue',
  {
    table: 'issue_label',
    alias: 'labels',
    related: [child('label', 'id', {table: 'label', alias: 'labels'})],
  },
  true,
);
const creator = child('creator', 'id', {table: 'user', alias: 'createdBy'});

export const T5 = (i: number): AST => ({
  table: 'issue',
  where: and(where('project', '=', pad('p', 4, i % 200)), where('open', '=', true)),
  orderBy: [['updated', 'desc']],
  limit: 100,
});
export const T6 = (i: number): AST => ({
  table: 'issue',
  where: and(where('num', '>', i * 100), where('num', '<=', i * 100 + 10_000)),
});
export const T7 = (i: number): AST => ({
  table: 'issue',
  where: exists(labelNamed(where('name', '=', labelName(i % 200)))),
  orderBy: [['updated', 'desc']],
  limit: 100,
});
export const T8 = (i: number): AST => ({
  table: 'issue',
  where: where('project', '=', pad('p', 4, i % 200)),
  related: [
    creator,
    labels,
    child('id', 'issue', {
      table: 'comment',
      alias: 'comments',
      orderBy: [['created', 'desc']],
      limit: 5,
      related: [child('author', 'id', {table: 'user', alias: 'writtenBy'})],
    }),
  ],
  orderBy: [['updated', 'desc']],
  limit: 50,
});
export const T9 = (i: number): AST => ({
  table: 'issue',
  where: or(
    exists(
      child('assignee', 'id', {
        table: 'user',
        alias: 'zsubq_assignedTo_0',
        where: where('name', '=', `User ${i}`),
      }),
    ),
    exists(labelNamed(where('name', '=', labelName(i % 200)))),
  ),
  orderBy: [['num', 'desc']],
  limit: 100,
});

const AREAS = ['sync', 'editor', 'billing', 'search', 'mobile', 'import', 'export', 'login'];
const labelName = (n: number) => `${AREAS[n % AREAS.length]} ${n}`;

export const byId = (i: number): AST => ({table: 'issue', where: where('id', '=', pad('i', 7, i)), limit: 1});
export const five = (i: number): AST[] => [
  {...byId(i), related: [creator]},
  {
    table: 'issue',
    where: where('project', '=', pad('p', 4, i % 200)),
    orderBy: [['updated', 'desc']],
    limit: 50,
  },
  {
    table: 'issue',
    where: where('status', '=', 'in_progress'),
    orderBy: [['num', 'desc']],
    limit: 30,
    related: [labels],
  },
  {table: 'project', limit: 50},
  {table: 'label', where: where('name', 'LIKE', 's%')},
];
export const ten = (i: number): AST[] => [
  ...five(i),
  {
    table: 'issue',
    where: where('open', '=', true),
    orderBy: [
      ['priority', 'desc'],
      ['num', 'desc'],
    ],
    limit: 50,
  },
  {
    table: 'issue',
    where: where('project', '=', pad('p', 4, (i + 1) % 200)),
    orderBy: [['num', 'desc']],
    limit: 20,
    related: [creator, labels, child('id', 'issue', {table: 'comment', alias: 'comments', limit: 5})],
  },
  T7(i),
  {table: 'comment', where: where('author', '=', pad('u', 5, i))},
  {table: 'project', related: [child('owner', 'id', {table: 'user', alias: 'ownedBy'})]},
];
