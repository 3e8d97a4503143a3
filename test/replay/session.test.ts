import {cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import pg from 'pg';
import {afterEach, beforeEach, expect, inject, test} from 'vitest';
import {fixtureReplay} from './io.ts';

let root: string;
let dir: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'zs-session-'));
  dir = join(root, 'sessions', 'two-groups');
  cpSync('fixtures/sessions/two-groups', dir, {recursive: true});
});
afterEach(() => rmSync(root, {recursive: true, force: true}));

const edit = (file: string, change: (text: string) => string) => {
  const path = join(dir, file);
  const before = readFileSync(path, 'utf8');
  const after = change(before);
  expect(after).not.toBe(before);
  writeFileSync(path, after);
};

const replaySession = (...flags: string[]) =>
  fixtureReplay('--postgres', inject('postgresUrl'), ...flags, dir);

test('a changed expectation is told with step, client and message, and blessed', async () => {
  const path = join(dir, 'expect.server.ndjson');
  const original = readFileSync(path, 'utf8');
  edit('expect.server.ndjson', text =>
    text.replace('"title":"seen by both groups"', '"title":"seen by none"'),
  );
  const {code, out} = await replaySession();
  expect(code).toBe(1);
  expect(out).toMatch(
    /step 2, client a1, message 1, its text: expected …?.*seen by none.*, got …?.*seen by both groups/,
  );
  expect(await replaySession('--bless')).toMatchObject({code: 0});
  expect(readFileSync(path, 'utf8')).toBe(original);
});

test('a conversation that asks for more than is recorded is refused', async () => {
  edit('client.ndjson', text => `${text}{"op":"transaction"}\n`);
  expect(await replaySession()).toMatchObject({
    code: 2,
    err: expect.stringContaining('asks for more transactions than are recorded'),
  });
});

test('without a PostgreSQL for its view records a session is left out; none of its databases stays', async () => {
  expect(await fixtureReplay(dir)).toMatchObject({code: 0, out: expect.stringContaining('1 left out')});
  expect(await fixtureReplay('--postgres', 'postgres://u:p@127.0.0.1:1/x', dir)).toMatchObject({
    code: 2,
    err: expect.stringMatching(/^fixture-replay: U001 .*nothing listens there/),
  });
  const client = new pg.Client(inject('postgresUrl'));
  await client.connect();
  const {rows} = await client.query(
    `SELECT count(*)::int AS n FROM pg_database WHERE datname LIKE 'zs\\_session\\_%'`,
  );
  await client.end();
  // Another test file may be replaying its own at this moment.
  expect(rows[0].n).toBeLessThanOrEqual(1);
});
