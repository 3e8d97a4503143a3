import {readFileSync} from 'node:fs';
import {expect, test} from 'vitest';
import {errorsPage, optionsPage, withDiagram} from './helpers/docs-pages.ts';

test.each([
  ['src/config/OPTIONS.md', optionsPage],
  ['src/ERRORS.md', errorsPage],
])('%s is what the code says; `npm run docs` writes it', (file, page) => {
  expect(readFileSync(file, 'utf8')).toBe(page());
});

test.each(['README.md', 'pipelines/README.md'])(
  'the diagram of %s is what the code says; `npm run docs` writes it',
  file => {
    const page = readFileSync(file, 'utf8');
    expect(page).toBe(withDiagram(page));
  },
);

test('every file that the README links to is there', () => {
  const readme = readFileSync('README.md', 'utf8');
  const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(match => match[1]!);
  expect(links.length).toBeGreaterThan(3);
  for (const link of links) expect(() => readFileSync(link), link).not.toThrow();
});

test('every option that the README names is one', () => {
  const known = readFileSync('src/config/OPTIONS.md', 'utf8');
  const named = new Set(readFileSync('README.md', 'utf8').match(/\bZERO_[A-Z_]+[A-Z]\b/g));
  expect(named.size).toBeGreaterThan(10);
  expect([...named].filter(name => !known.includes(`\`${name}\``))).toEqual([]);
});
