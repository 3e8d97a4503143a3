import {spawnSync} from 'node:child_process';
import {mkdirSync, readFileSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {describe, expect, test} from 'vitest';
import {openReader} from '../../src/replica/open.ts';
import {copiesOf, fixtureReplay} from './io.ts';

const copy = copiesOf('wal/multi-table-pg18');
const {edit} = copy;
const lines = (file: string) => copy.read(file).trimEnd().split('\n');
const REPLICA = 'expect.replica.ndjson';
const LOG = 'expect.log.ndjson';

describe('a difference is told in words', () => {
  const cases: [what: string, file: string, change: (text: string) => string, words: string][] = [
    [
      'a value',
      REPLICA,
      text => text.replace('"name":"Second!"', '"name":"Second?"'),
      'table project, key {"id":"p2"}, column name: expected "Second?", got "Second!"',
    ],
    [
      'the storage class of a number',
      REPLICA,
      text => text.replace('"open":0', '"open":0.0'),
      'table issue, key {"id":"i1"}, column open: expected 0.0, got 0',
    ],
    [
      'a row that is missing',
      REPLICA,
      text => text.replace(/(.*"id":"p3".*\n)/, '$1$1').replace('"id":"p3"', '"id":"p22"'),
      'table project: the row with key {"id":"p22"} is missing',
    ],
    [
      'a row that is too much',
      REPLICA,
      text => text.replace(/\{"row":"issue","values":\{"id":"i4".*\n/, ''),
      'table issue: the row with key {"id":"i4"} is not expected',
    ],
    [
      'a table that is too much',
      REPLICA,
      text => text.replace(/\{"table":"comment","key".*\n(\{"row":"comment".*\n)*/, ''),
      'table comment is not expected',
    ],
    [
      'an index',
      REPLICA,
      text => text.replace('(project, title DESC)', '(project, title)'),
      'table issue, index issue_project: expected "(project, title)", got "(project, title DESC)"',
    ],
    [
      'the index of changed rows',
      REPLICA,
      text =>
        text.replace('"rowKey":"{\\"id\\":\\"i9\\"}","op":"d"', '"rowKey":"{\\"id\\":\\"i9\\"}","op":"s"'),
      'changed rows (_zero.changeLog2), table issue, key {"id":"i9"}, op: expected "s", got "d"',
    ],
    [
      'a value in the change log',
      LOG,
      text => text.replace('"new":{"id":"p3","name":"Third"}', '"new":{"id":"p3","name":"3."}'),
      'column name: expected "3.", got "Third"',
    ],
    [
      'an entry missing in the change log',
      LOG,
      text => text.replace(/(.*"pos":2,.*\n)/, ''),
      'is not expected',
    ],
  ];

  test.each(cases)('%s', async (_, file, change, words) => {
    edit(file, change);
    const {code, out} = await fixtureReplay('--diff', copy.dir);
    expect(code).toBe(1);
    expect(out).toContain('✗ wal/multi-table-pg18');
    expect(out).toContain(words);
    expect(out).toMatch(new RegExp(`${file}:\\d+: `));
    expect(out).toContain('1 fixture: 0 as expected, 1 different');
  });

  test('with the transaction that wrote the row', async () => {
    edit(REPLICA, text => text.replace('"name":"Fourth"', '"name":"4."'));
    const {out} = await fixtureReplay('--diff', copy.dir);
    const [, lsn] = /last written by the transaction at (\S+) /.exec(out)!;
    const stopped = await fixtureReplay('--until', lsn!, '--step', copy.dir);
    expect(stopped.out.split('\n').at(-4)).toMatch(new RegExp(`^${lsn}  .* project: 1 insert; `));
  });

  test('long values are shown from where they differ', async () => {
    copy.use('wal/toast-pg18');
    edit(REPLICA, text => text.replace(`${'e'.repeat(1000)}"`, `${'e'.repeat(999)}f"`));
    const {out} = await fixtureReplay(copy.dir);
    expect(out).toMatch(/column body: expected "?…e+f"… \(2602 characters.*got …e+"… \(2602 characters/);
  });
});

test('a changed frame shows in the replica', async () => {
  edit('wal.ndjson', text =>
    text
      .split('\n')
      .map(line => {
        if (!line) return line;
        const {lsn, frame} = JSON.parse(line) as {lsn: string; frame: string};
        const bytes = Buffer.from(frame, 'base64').toString('latin1').replace('Fourth', 'Fifth!');
        return JSON.stringify({lsn, frame: Buffer.from(bytes, 'latin1').toString('base64')});
      })
      .join('\n'),
  );
  const {code, out} = await fixtureReplay(copy.dir);
  expect(code).toBe(1);
  expect(out).toContain('column name: expected "Fourth", got "Fifth!"');
  expect(out).toContain('table project, key {"id":"p4"}, column name: expected "Fourth", got "Fifth!"');
});

test('a frame that is cut short ends the chain with its fault, like in the server', async () => {
  edit('wal.ndjson', text =>
    text
      .split('\n')
      .map(line => {
        const frame = line && Buffer.from((JSON.parse(line) as {frame: string}).frame, 'base64');
        return frame && frame[25] === 0x49 /* insert */ && frame.includes('Fourth')
          ? JSON.stringify({lsn: '0/0', frame: frame.subarray(0, -3).toString('base64')})
          : line;
      })
      .join('\n'),
  );
  const {code, out} = await fixtureReplay('--diff', copy.dir);
  expect(code).toBe(1);
  expect(out).toContain('"code":"R004"');
  expect(out).toContain('in its place: the end by fault R004');
});

describe('a fixture that cannot be read is refused, naming file and line', () => {
  const cases: [what: string, file: string, change: (text: string) => string, words: RegExp][] = [
    [
      'no JSON',
      'wal.ndjson',
      text => text.replace('{"lsn"', '{lsn'),
      /wal\.ndjson:1 is not what the format says/,
    ],
    ['no base64', 'wal.ndjson', text => text.replace(/("frame":"\w)\w/, '$1*'), /wal\.ndjson:1 /],
    [
      'a later format',
      'case.json',
      text => text.replace('"format": 1', '"format": 2'),
      /has format 2; .* format 1/,
    ],
    ['another kind', 'case.json', text => text.replace('"wal"', '"wall"'), /case\.json: kind: /],
    ['no schema', 'schema.json', () => '[]', /schema\.json is no published schema/],
    ['a short row', 'rows.ndjson', text => text.replace(',"First"', ''), /row of table project does not fit/],
  ];
  test.each(cases)('%s', async (_, file, change, words) => {
    edit(file, change);
    const {code, err} = await fixtureReplay(copy.dir);
    expect(err).toMatch(words);
    expect(err).toMatch(/^fixture-replay: T001 /);
    expect(code).toBe(2);
  });

  test('among others, which are replayed all the same', async () => {
    const bad = copy.dir;
    copy.use('wal/arrays-pg18');
    rmSync(join(bad, 'wal.ndjson'));
    const {code, out} = await fixtureReplay(copy.root);
    expect(out).toContain('wal.ndjson is missing');
    expect(out).toContain('✓ wal/arrays-pg18');
    expect(out).toContain('2 fixtures: 1 as expected, 1 unusable');
    expect(code).toBe(2);
  });

  test('and so are paths without any, and nonsense', async () => {
    expect(await fixtureReplay(join(copy.root, 'nowhere'))).toMatchObject({
      code: 2,
      err: expect.stringContaining('nowhere'),
    });
    expect(await fixtureReplay('src')).toMatchObject({code: 2, err: expect.stringContaining('No fixture')});
    expect(await fixtureReplay('--until', 'x', copy.dir)).toMatchObject({
      code: 2,
      err: expect.stringContaining('0/15A3B40'),
    });
    expect(await fixtureReplay('--colour')).toMatchObject({code: 2});
    expect(await fixtureReplay('--help')).toMatchObject({code: 0, out: expect.stringContaining('record')});
  });
});

describe('--bless', () => {
  test('rewrites what differs, and nothing else', async () => {
    const log = readFileSync(join(copy.dir, LOG));
    const replica = readFileSync(join(copy.dir, REPLICA));
    edit(REPLICA, text => text.replace('Fourth', '4.'));
    const blessed = await fixtureReplay('--bless', copy.dir);
    expect(blessed).toMatchObject({code: 0, out: expect.stringContaining(`wrote ${REPLICA}\n`)});
    expect(blessed.out).toContain('0 as expected, 1 blessed');
    expect(readFileSync(join(copy.dir, REPLICA))).toEqual(replica);
    expect(readFileSync(join(copy.dir, LOG))).toEqual(log);
    expect(await fixtureReplay(copy.dir)).toMatchObject({code: 0});
  });

  test('writes expectations that are not there yet, which differ without it', async () => {
    rmSync(join(copy.dir, LOG));
    expect(await fixtureReplay(copy.dir)).toMatchObject({
      code: 1,
      out: expect.stringContaining('no such file yet'),
    });
    expect(await fixtureReplay('--bless', copy.dir)).toMatchObject({code: 0});
    expect(lines(LOG).at(0)).toContain('"begin"');
  });
});

describe('--until', () => {
  test.each([0, 1, 3])('stops after %i transactions, with the replica in between', async n => {
    const all = (await fixtureReplay('--step', copy.dir)).out.split('\n').slice(0, 4);
    const lsns = all.map(line => line.split(' ')[0]!);
    const until = n === 0 ? '0/1' : lsns[n - 1]!;
    const keep = join(copy.root, 'look.db');
    const {code, out} = await fixtureReplay('--until', until, '--keep', keep, copy.dir);
    expect(code).toBe(0);
    expect(out).toMatch(
      new RegExp(`${n} transactions?, .*stopped ${n ? `after ${until}` : 'before the first'}`),
    );
    const replica = openReader(keep);
    const versions = replica.prepare('SELECT DISTINCT _0_version FROM project WHERE _0_version > ?').pluck();
    const {replicaVersion} = JSON.parse(readFileSync(join(copy.dir, 'case.json'), 'utf8')) as {
      replicaVersion: string;
    };
    expect(versions.all(replicaVersion)).toHaveLength([0, 1, 2, 2][n]!);
    expect(replica.prepare('SELECT stateVersion FROM "_zero.replicationState"').pluck().get()).toBe(
      n === 0 ? replicaVersion : all[n - 1]!.split('  ')[1],
    );
    replica.close();
  });

  test('still tells a difference before it, and never blesses', async () => {
    edit(LOG, text => text.replace('"name":"Third"', '"name":"3."'));
    const damaged = readFileSync(join(copy.dir, LOG));
    const [first] = (await fixtureReplay('--step', copy.dir)).out.split(' ');
    const {code, out} = await fixtureReplay('--bless', '--until', first!, copy.dir);
    expect(code).toBe(1);
    expect(out).toContain('expected "3.", got "Third"');
    expect(readFileSync(join(copy.dir, LOG))).toEqual(damaged);
  });
});

test('--step prints a line per transaction, whole ones even if they went in parts', async () => {
  copy.use('wal/large-transaction-pg18');
  const {code, out} = await fixtureReplay('--step', copy.dir);
  expect(code).toBe(0);
  expect(out.split('\n').slice(0, 3)).toEqual([
    expect.stringMatching(/^0\/\w+ {2}\w+ {2}\S+Z {2}other: 1 insert$/),
    expect.stringMatching(/ {2}item: 100 update, 100 insert, 66 delete; other: 1 insert$/),
    expect.stringMatching(/ {2}item: 1 update$/),
  ]);
});

test('an expectation that cannot be written is told in a line', async () => {
  const file = join(copy.dir, LOG);
  rmSync(file);
  mkdirSync(file);
  const {code, err} = await fixtureReplay('--bless', copy.dir);
  expect(code).toBe(2);
  expect(err).toMatch(/^fixture-replay: EISDIR: .*\n$/);
});

test('the bins replay too, and exit with the code', () => {
  const run = (...argv: string[]) => spawnSync(process.execPath, argv, {encoding: 'utf8'});
  expect(run('dist/fixture-replay.js', copy.dir)).toMatchObject({status: 0, stderr: ''});
  edit(REPLICA, text => text.replace('Fourth', '4.'));
  const differs = run('dist/zerostream.js', 'fixture-replay', copy.dir);
  expect(differs).toMatchObject({status: 1, stdout: expect.stringContaining('expected "4.", got "Fourth"')});
});
