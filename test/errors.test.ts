import {fileURLToPath} from 'node:url';
import {expect, test} from 'vitest';
import {errorsMarkdown, readErrorEntries} from '../src/config/errors-markdown.ts';
import {BadMutation, ConfigError, DaemonError, PipelineBug} from '../src/errors.ts';

const sources = fileURLToPath(new URL('../src', import.meta.url));
const entries = readErrorEntries(sources);

test('every error class is found', () => {
  const names = entries.map(({className}) => className);
  expect(names).toEqual(expect.arrayContaining(['PipelineBug', 'SlotUnusable', 'ConfigError']));
  expect(names).not.toContain('DaemonError');
  expect(new Set(names).size).toBe(names.length);
});

test.each(entries)('$className is documented under its own code', ({code, declaredCode, text}) => {
  expect(code).toMatch(/^[CURQGMTDP]\d{3}$/);
  expect(code).toBe(declaredCode);
  expect(text.length).toBeGreaterThan(30);
  expect(text).toMatch(/\.$/);
});

test('codes are unique', () => {
  const codes = entries.map(({code}) => code);
  expect(codes).toEqual([...new Set(codes)]);
});

test('the troubleshooting page has a heading for each code', () => {
  const headings = errorsMarkdown(sources).match(/^## .*$/gm);
  expect(headings).toEqual(entries.map(({code, className}) => `## ${code} ${className}`));
});

test('an error carries its class name, code, recovery and cause', () => {
  const cause = new Error('below');
  const error = new BadMutation('no table', {cause});
  expect(error).toBeInstanceOf(DaemonError);
  expect(error).toMatchObject({
    name: 'BadMutation',
    code: 'M002',
    recovery: 'reject',
    message: 'no table',
    cause,
  });
  expect(new PipelineBug('x').recovery).toBe('stop');
});

test('a configuration error lists its problems, one to a line', () => {
  const error = new ConfigError(['ZERO_A: wrong', 'ZERO_B: missing']);
  expect(error.problems).toEqual(['ZERO_A: wrong', 'ZERO_B: missing']);
  expect(error.message.split('\n').slice(1)).toEqual(['  ZERO_A: wrong', '  ZERO_B: missing']);
});
