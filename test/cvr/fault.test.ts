import {expect, test} from 'vitest';
import {asGroupFault} from '../../src/cvr/fault.ts';

const codeOf = (code: string) => Object.assign(new Error('failed'), {code});

test.each([
  'ECONNRESET',
  'EPIPE',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  '57P01',
  '53300',
  '40001',
])('after %s a client comes back by itself', code => {
  expect(asGroupFault(codeOf(code))).toMatchObject({body: {kind: 'ServerOverloaded'}});
});

test.each(['42P01', '23505', '22P02', 'ENOSPC'])('%s does not pass by itself', code => {
  const error = codeOf(code);
  expect(asGroupFault(error)).toBe(error);
});
