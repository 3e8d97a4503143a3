import {spawnSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {expect, test} from 'vitest';
import {VERSION} from '../../src/version.ts';

/** Runs the command to its end, with nothing configured. */
const zerostream = (...args: string[]) => {
  const {status, stdout, stderr} = spawnSync(process.execPath, ['dist/zerostream.js', ...args], {
    env: {PATH: process.env['PATH']},
    encoding: 'utf8',
    timeout: 60_000,
  });
  return {status, stdout, stderr};
};

test.each([['--help'], ['-h'], ['help'], ['--port', '1', '--help']])(
  '%s explains commands and options',
  (...args) => {
    const {status, stdout, stderr} = zerostream(...args);
    expect({status, stderr}).toEqual({status: 0, stderr: ''});
    for (const text of [
      'zerostream dev',
      'inspect-pipeline',
      'fixture-replay',
      '--upstream-db',
      'ZERO_UPSTREAM_DB',
    ])
      expect(stdout).toContain(text);
  },
);

test('--version is that of the package', () => {
  expect(zerostream('--version')).toEqual({status: 0, stdout: `${VERSION}\n`, stderr: ''});
});

test('dev --help teaches development mode', () => {
  const {status, stdout} = zerostream('dev', '--help');
  expect(status).toBe(0);
  for (const text of [
    '--sql <file>',
    '--reset',
    '--postgres-port',
    '.zero/',
    'Examples',
    'this machine only',
  ])
    expect(stdout).toContain(text);
});

test.each([
  [
    ['fixture-replay', '--help'],
    ['run', 'record', 'redact', 'fixture-replay --step', 'ends with 0'],
  ],
  [
    ['fixture-replay', 'record', '--help'],
    ['--server', '--seconds', 'fixture-replay record --server'],
  ],
  [
    ['help', 'inspect-pipeline'],
    ['--watch', '--html <file>', 'Examples'],
  ],
])('%j teaches the command', (args, texts) => {
  const {status, stdout} = zerostream(...args);
  expect(status).toBe(0);
  for (const text of texts) expect(stdout).toContain(text);
});

test('a .env that cannot be read is told, instead of a demonstration', () => {
  const cwd = mkdtempSync(join(tmpdir(), 'zs-main-'));
  mkdirSync(join(cwd, '.env'));
  try {
    const {status, stderr} = spawnSync(process.execPath, [resolve('dist/zerostream.js')], {
      cwd,
      env: {PATH: process.env['PATH']},
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(stderr).toContain('.env in this folder cannot be read (EISDIR)');
    expect(status).toBe(1);
    expect(readdirSync(cwd)).toEqual(['.env']);
  } finally {
    rmSync(cwd, {recursive: true});
  }
});

test.each([
  [['dve'], 'unknown command "dve"; did you mean dev? there are dev, inspect-pipeline, fixture-replay'],
  [['inspect-pipline'], 'did you mean inspect-pipeline?'],
  [['postgres://user:hunter2@host/db'], 'zerostream --upstream-db postgres://…'],
  [['--upstrem-db', 'x'], '--upstrem-db: unknown option; did you mean --upstream-db?'],
  [['dev', '--rest'], '--rest: unknown option'],
  [['dev', '--upstream-db=postgres://user:hunter2@host/db'], 'development mode brings its own database'],
  [['dev', 'hunter2'], 'an argument belongs to no option'],
  [['dev', '--postgres-port', 'many'], 'It must be a number from 1 to 65535'],
  [['dev', '--port', 'many'], 'ZERO_PORT (--port): must be'],
])('%j is refused with what to do', (args, message) => {
  const {status, stdout, stderr} = zerostream(...args);
  expect(status).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toContain(message);
  // What stands in the place of a word may be a secret; and a stack helps nobody here.
  expect(stderr).not.toMatch(/hunter2|\n\s+at /);
});
