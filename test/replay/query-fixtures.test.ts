import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {describe, expect, test} from 'vitest';
import {findFixtures} from '../../src/replay/fixture.ts';
import {readQueryScript, writeQueryFixture} from '../../src/replay/query-fixture.ts';
import {QueryReplica} from '../../src/replay/query-replica.ts';
import {replayQueries} from '../../src/replay/replay-queries.ts';
import Database from '../../src/replica/sqlite.ts';
import {runCase} from '../oracle/run-case.ts';
import {copiesOf, fixtureReplay} from './io.ts';

const fixture = copiesOf('queries/exists-flip');

/** Types that the naive evaluation does not speak of. */
const BEYOND_NAIVE = ['values'];

test.each(
  findFixtures(['fixtures/queries']).filter(path => !BEYOND_NAIVE.some(name => path.endsWith(`/${name}`))),
)('%s means what ZQL means', async path => {
  const script = await readQueryScript(path);
  await runCase({
    tables: script.tables as Parameters<typeof runCase>[0]['tables'],
    queries: script.queries,
    rows: script.rows.map(({table, row}) => ({op: 'set', table, row})),
    transactions: script.transactions.map(({changes, pause}) => ({changes, pause: pause ?? false})),
  });
});

const DIFFS = 'expect.diffs.ndjson';

describe('a difference is told in words', () => {
  const cases: [what: string, file: string, change: (text: string) => string, words: string][] = [
    [
      'of a value',
      DIFFS,
      text => text.replace('"body":"comment c1"', '"body":"?"'),
      'hydration, query 0, row comment {"id":"c1"}, column body: expected "?", got "comment c1"',
    ],
    [
      'of a change that is missing',
      DIFFS,
      text =>
        text.replace(/(\{"step":1,"version".*\n)/, '$1{"step":1,"query":0,"id":"issue {}","op":"remove"}\n'),
      'step 1, query 0: the change of row issue {} is missing',
    ],
    [
      'of a changed transaction',
      'transactions.ndjson',
      text => text.replace('"issue":"c","body":"comment c4"', '"issue":"a","body":"comment c4"'),
      'step 5, query 0, row comment {"id":"c4"}, column issue: expected "c", got "a"',
    ],
  ];
  test.each(cases)('%s', async (_, file, change, words) => {
    fixture.edit(file, change);
    const {code, out} = await fixtureReplay('--diff', fixture.dir);
    expect(out).toContain(words);
    expect(code).toBe(1);
  });
});

test('a maintained result that differs from a fresh one is told and never blessed', async () => {
  const script = await readQueryScript(fixture.dir);
  const file = join(fixture.root, 'replica.db');
  const replica = await QueryReplica.build(file, script);
  const spoiler = new Database(file);
  // Without the index of changed rows the graphs learn of nothing.
  const forgetful = {
    transact: (changes: Parameters<QueryReplica['transact']>[0]) => {
      const version = replica.transact(changes);
      spoiler.exec('DELETE FROM "_zero.changeLog2"');
      return version;
    },
  };
  const {disagreement} = await replayQueries(file, forgetful, script);
  expect(disagreement?.words).toBe(
    'transaction 1, advanced with each transaction, query 0: row issue {"id":"b"} is missing, which a fresh hydration has',
  );
  spoiler.close();
  replica.close();
});

test('a counterexample is written without expectations, which --bless adds', async () => {
  const copy = join(fixture.root, 'queries', 'found');
  writeQueryFixture(copy, 'found by a property test', await readQueryScript(fixture.dir));
  expect(await fixtureReplay(copy)).toMatchObject({
    code: 1,
    out: expect.stringContaining('no such file yet'),
  });
  expect(await fixtureReplay('--bless', copy)).toMatchObject({code: 0});
  expect(readFileSync(join(copy, DIFFS))).toEqual(readFileSync(join(fixture.dir, DIFFS)));
  expect(await fixtureReplay(fixture.root)).toMatchObject({
    code: 0,
    out: expect.stringContaining('2 as expected'),
  });
});

describe('a fixture that cannot be read is refused', () => {
  const cases: [what: string, file: string, change: (text: string) => string, words: RegExp][] = [
    ['a bad query', 'queries.json', text => text.replace('"EXISTS"', '"MAYBE"'), /queries\.json is not what/],
    [
      'a bad change',
      'transactions.ndjson',
      text => text.replace('"set"', '"put"'),
      /transactions\.ndjson:1 /,
    ],
    ['an unknown table', 'rows.ndjson', text => text.replace('"issue"', '"tissue"'), /names table tissue/],
  ];
  test.each(cases)('%s', async (_, file, change, words) => {
    fixture.edit(file, change);
    expect(await fixtureReplay(fixture.dir)).toMatchObject({code: 2, err: expect.stringMatching(words)});
  });
});
