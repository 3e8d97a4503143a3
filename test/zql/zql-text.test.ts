import {expect, test} from 'vitest';
import type {AST} from '../../src/zql/ast.ts';
import {zqlText} from '../../src/zql/zql-text.ts';
import {zql} from '../e2e/schema.ts';

/** What is written is what one could have written: the stock client's builder reads it, and that is written in the same way. */
test.each([
  "label.where('name', 'LIKE', 'it\\'s \\\\ %').orderBy('name', 'desc').limit(5)",
  `label.where('id', 'IN', ["a","b"]).orderBy('id', 'asc').start({"id":"a"}, {inclusive: true})`,
  `label.orderBy('id', 'asc').start({"id":"a"})`,
  "issue.related('comments', q => q.where('score', '>', 1).limit(2)).related('project')",
  "issue.whereExists('comments', q => q.where('text', '=', 'x')).where('open', '=', true)",
  "issue.whereExists('project', {flip: true}).where('rank', 'IS', null)",
  "issue.where(({and, or, not, cmp, cmpLit, exists}) => or(cmp('num', '>', 1), and(cmp('open', '=', false), not(exists('comments')))))",
  "issue.where(({and, or, not, cmp, cmpLit, exists}) => not(exists('project', q => q.where('budget', '<', 1.5))))",
])('%s', text => {
  const {ast} = new Function('zql', `return zql.${text}`)(zql) as {ast: AST};
  expect(zqlText(ast)).toBe(text);
});
