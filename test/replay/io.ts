import {cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {PassThrough} from 'node:stream';
import {afterEach, beforeEach, expect} from 'vitest';
import {type Io, runFixtureReplay} from '../../src/cli/fixture-replay.ts';

/** Runs `fixture-replay` in this process and returns what it prints. */
export const fixtureReplay = async (...argv: string[]): Promise<{code: number; out: string; err: string}> => {
  const printed = {out: '', err: ''};
  const stream = (name: 'out' | 'err') =>
    new PassThrough().on('data', (chunk: Buffer) => {
      printed[name] += chunk.toString();
    });
  const io: Io = {stdout: stream('out'), stderr: stream('err'), stdin: new PassThrough()};
  const code = await runFixtureReplay(argv, io);
  // What was written last is delivered in the next turn.
  await new Promise(resolve => setImmediate(resolve));
  return {code, ...printed};
};

/** Copies of fixtures that a test may change: of the first before each test, of others when asked for. */
export const copiesOf = (first: string) => {
  const copies = {
    /** Where they all are, and the one at hand. */
    root: '',
    dir: '',
    use(name: string): void {
      copies.dir = join(copies.root, name);
      cpSync(join('fixtures', name), copies.dir, {recursive: true});
    },
    read: (file: string): string => readFileSync(join(copies.dir, file), 'utf8'),
    edit(file: string, change: (text: string) => string): void {
      const before = copies.read(file);
      const after = change(before);
      expect(after).not.toBe(before);
      writeFileSync(join(copies.dir, file), after);
    },
  };
  beforeEach(() => {
    copies.root = mkdtempSync(join(tmpdir(), 'zs-fixture-'));
    copies.use(first);
  });
  afterEach(() => rmSync(copies.root, {recursive: true, force: true}));
  return copies;
};
