import pg from 'pg';
import {expect, inject, test} from 'vitest';
import {copiesOf, fixtureReplay} from './io.ts';

const FILE = 'conversation-0.ndjson';
const fixture = copiesOf('wal/two-groups');
const replay = (...flags: string[]) =>
  fixtureReplay('--postgres', inject('postgresUrl'), ...flags, fixture.dir);

test('a changed expectation is told with its line and message, and blessed', async () => {
  const original = fixture.read(FILE);
  fixture.edit(FILE, text => text.replace('"title":"seen by both groups"', '"title":"seen by none"'));
  const {code, out} = await replay();
  expect(code).toBe(1);
  expect(out).toMatch(
    /conversation-0\.ndjson:\d+: .*expected …?.*seen by none.*, got …?.*seen by both groups/,
  );
  expect(await replay('--bless')).toMatchObject({code: 0});
  expect(fixture.read(FILE)).toBe(original);
});

test('a conversation that goes further than the stream that was recorded is refused', async () => {
  fixture.edit(FILE, text => `${text}{"op":"advance","to":"zzzzzzzzzzzz"}\n`);
  expect(await replay()).toMatchObject({
    code: 2,
    err: expect.stringContaining('asks for more transactions than are recorded'),
  });
});

test('without a PostgreSQL for its view records a conversation is left out; none of its databases stays', async () => {
  expect(await fixtureReplay(fixture.dir)).toMatchObject({
    code: 0,
    out: expect.stringContaining('what was said with clients left out (--postgres)'),
  });
  expect(await fixtureReplay('--postgres', 'postgres://u:p@127.0.0.1:1/x', fixture.dir)).toMatchObject({
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
