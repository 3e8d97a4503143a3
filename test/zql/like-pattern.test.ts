import {expect, test} from 'vitest';
import {likeToRegExp} from '../../src/zql/like.ts';

test('every printable character of a pattern stands for itself, escaped or not, but for % and _', () => {
  for (let code = 32; code < 127; code++) {
    const c = String.fromCharCode(code);
    if (c !== '%' && c !== '_' && c !== '\\')
      expect([c, likeToRegExp(`a${c}%`, false).test(`a${c}z`)]).toEqual([c, true]);
    expect([c, likeToRegExp(`\\${c}`, false).test(c)]).toEqual([c, true]);
    expect([c, likeToRegExp(`\\${c}`, false).test(c === 'x' ? 'y' : 'x')]).toEqual([c, false]);
  }
});
