import {QueryError} from '../errors.ts';

/** @throws QueryError for a pattern that ends in a lone backslash (zql.md §1.3). */
export const checkPattern = (pattern: string): void => {
  const backslashes = /\\*$/.exec(pattern)![0].length;
  if (backslashes % 2) throw new QueryError('A LIKE pattern ends with a backslash that escapes nothing.');
};

/**
 * Lower case letter by letter, as PostgreSQL does it: a final Σ is σ like any other, which keeps patterns right whatever
 * stands around a letter.
 */
export const lowerCase = (text: string): string =>
  text.includes('Σ')
    ? Array.from(text, c => (c === 'Σ' ? 'σ' : c.toLowerCase())).join('')
    : text.toLowerCase();

/** JS twin of SQLite's LIKE: `%` any run, `_` one code point, backslash escapes, whole string. */
export const likeToRegExp = (pattern: string, ignoreCase: boolean): RegExp => {
  let source = '';
  const text = ignoreCase ? lowerCase(pattern) : pattern;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '%') source += '.*';
    else if (c === '_') source += '.';
    else source += (c === '\\' ? text[++i]! : c).replaceAll(/[$()*+./?[\\\]^{|}]/g, '\\$&');
  }
  return new RegExp(`^${source}$`, 'su');
};
