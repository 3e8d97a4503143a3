import {execFileSync} from 'node:child_process';
import {createRequire} from 'node:module';
import {expect, test} from 'vitest';
import Database from '../../src/replica/sqlite.ts';

const IDLE = `
  const db = new (require(process.argv[1]))(':memory:');
  let n = 0;
  setInterval(() => {
    for (let i = 0; i < 1000; i++) db.prepare('SELECT ' + n++).get();
    if (n < 200_000) return;
    console.log('done');
    process.exit();
  }, 1);`;

test('statements that are collected while the process is idle do not end it, on this Node', () => {
  const require = createRequire(import.meta.url);
  const name = ['better-sqlite3-13', 'better-sqlite3'].find(name => {
    try {
      return require(name) === Database;
    } catch {
      return false;
    }
  });
  expect(execFileSync(process.execPath, ['-e', IDLE, require.resolve(name!)], {encoding: 'utf8'})).toBe(
    'done\n',
  );
});
