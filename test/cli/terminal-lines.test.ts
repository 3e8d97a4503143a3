import {expect, test} from 'vitest';
import {terminalLines} from '../../src/cli/terminal-lines.ts';

test('a line that is too long goes on below, set in, and nothing of it is lost', () => {
  const line =
    '  ▶ replication.tee  3/s in 3/s out · busy <1 % · waiting 46 % · lag 3.1 ms, measured 17 ms ago';
  const lines = terminalLines(`head\n${line}`, {columns: 40, colors: false});
  expect(lines).toEqual([
    'head',
    '  ▶ replication.tee  3/s in 3/s out ·',
    '      busy <1 % · waiting 46 % · lag 3.1',
    '      ms, measured 17 ms ago',
  ]);
});

test('a word that is wider than the terminal is cut, however narrow that is', () => {
  for (const columns of [1, 2, 3, 7, 20]) {
    const lines = terminalLines(`    ${'x'.repeat(50)}`, {columns, colors: false});
    expect(Math.max(...lines.map(line => line.length))).toBeLessThanOrEqual(columns);
    expect(lines.join('').replaceAll(' ', '')).toBe('x'.repeat(50));
  }
});

test('every part of a fault is red', () => {
  const lines = terminalLines('FAULTS\n  ✖ U001 for 3.0 s: the database cannot be reached', {
    columns: 30,
    colors: true,
  });
  expect(lines).toHaveLength(4);
  for (const line of lines) expect(line.startsWith('\x1b[31m')).toBe(true);
});
