import {cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import pg from 'pg';
import {afterEach, beforeEach, expect, inject, test} from 'vitest';
import {fixtureReplay} from './io.ts';

const FILE = 'conversation-0.ndjson';

let root: string;
let dir: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'zs-conversation-'));
  dir = join(root, 'wal', 'two-groups');
  cpSync('fixtures/wal/two-groups', dir, {recursive: true});
});
afterEach(() => rmSync(root, {recursive: true, force: true}));

const edit = (change: (text: string) => string) => {
  const path = join(dir, FILE);
  const before = readFileSync(path, 'utf8');
  const after = change(before);
  expect(after).not.toBe(before);
  writeFileSync(path, after);
};

const replay = (...flags: string[]) => fixtureReplay('--postgres', inject('postgresUrl'), ...flags, dir);

test('a changed expectation is told with its line and message, and blessed', async () => {
  const original = readFileSync(join(dir, FILE), 'utf8');
  edit(text => text.replace('"title":"seen by both groups"', '"title":"seen by none"'));
  const {code, out} = await replay();
  expect(code).toBe(1);
  expect(out).toMatch(
    /conversation-0\.ndjson:\d+: .*expected …?.*seen by none.*, got …?.*seen by both groups/,
  );
  expect(await replay('--bless')).toMatchObject({code: 0});
  expect(readFileSync(join(dir, FILE), 'utf8')).toBe(original);
});

test('a conversation that goes further than the stream that was recorded is refused', async () => {
  edit(text => `${text}{"op":"advance","to":"zzzzzzzzzzzz"}\n`);
  expect(await replay()).toMatchObject({
    code: 2,
    err: expect.stringContaining('asks for more transactions than are recorded'),
  });
});

test('without a PostgreSQL for its view records a conversation is left out; none of its databases stays', async () => {
  expect(await fixtureReplay(dir)).toMatchObject({
    code: 0,
    out: expect.stringContaining('what was said with clients left out (--postgres)'),
  });
  expect(await fixtureReplay('--postgres', 'postgres://u:p@127.0.0.1:1/x', dir)).toMatchObject({
    code: 2,
    err: expect.stringMatching(/^fixture-replay: U001 .*nothing listens there/),
  });
  const client = new pg.Client(inject('postgresUrl'));
  await client.connect();
  const {rows} = await client.query(
    `SELECT count(*)::int AS n FROM pg_database WHERE datname LIKE 'zs\\_replay\\_%'`,
  );
  await client.end();
  // Another test file may be replaying its own at this moment.
  expect(rows[0].n).toBeLessThanOrEqual(1);
});
