import {cpSync, mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {PassThrough} from 'node:stream';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {replayWalCase} from '../../src/cli/replay-wal-case.ts';
import {type Fixture, readFixture, type WalCase} from '../../src/replay/fixture.ts';
import {until} from '../helpers/until.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'zs-step-'));
  cpSync('fixtures/wal/multi-table-pg18', join(root, 'case'), {recursive: true});
});
afterEach(() => rmSync(root, {recursive: true, force: true}));

/** A user at a terminal: waits for the prompt, then types the next answer. */
const terminal = (answers: readonly string[]) => {
  const input = new PassThrough();
  const output = new PassThrough();
  let text = '';
  output.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const typed = (async () => {
    for (const [i, answer] of answers.entries()) {
      await until(() => text.split('\n> ').length > i + 1 || text.split('> ').length > i + 1, 'a prompt');
      input.write(`${answer}\n`);
    }
  })();
  return {step: {input, output, interactive: true}, text: () => text, typed};
};

const run = async (answers: readonly string[]) => {
  const user = terminal(answers);
  const fixture = readFixture(join(root, 'case')) as Fixture<WalCase>;
  const outcome = await replayWalCase(fixture, {bless: false, step: user.step});
  await user.typed;
  return {outcome, text: user.text()};
};

test('waits after each transaction and answers questions about the replica in between', async () => {
  const {outcome, text} = await run([
    '',
    't',
    'SELECT id FROM project ORDER BY id DESC LIMIT 1',
    'SELECT nonsense',
    '?',
    'q',
  ]);
  expect(text).toContain('comment: 7 rows\n  issue: 6 rows\n  project: 3 rows');
  expect(text).toContain('{"id":"p3"}\n  1 row\n');
  expect(text).toContain('no such column: nonsense');
  expect(text.match(/Enter {2}the next transaction/g)).toHaveLength(2);
  expect(outcome.summary).toMatch(/^1 transaction, .*stopped after 0\//);
  expect(outcome.divergences).toEqual([]);
});

test('goes on to the end when asked, and then compares everything', async () => {
  const {outcome, text} = await run(['', 'c']);
  expect(text.match(/^0\//gm)?.length).toBeGreaterThanOrEqual(2);
  expect(outcome.summary).toBe('4 transactions, 26 changes');
  expect(outcome.divergences).toEqual([]);
});

test('cannot write to the replica', async () => {
  const {outcome, text} = await run(['DELETE FROM project', 'DELETE FROM project RETURNING id', 'c']);
  expect(text).toContain('Only what gives rows is answered.');
  expect(text).toContain('readonly database');
  expect(outcome.divergences).toEqual([]);
});
