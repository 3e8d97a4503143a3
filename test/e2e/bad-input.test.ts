import {randomBytes} from 'node:crypto';
import {connect as connectSocket} from 'node:net';
import {afterAll, beforeAll, expect, test} from 'vitest';
import WebSocket from 'ws';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {connectUrl, protocolHeader, pushOf, type RawClient, rawClient} from '../helpers/raw-client.ts';

/** Whatever one connection sends, it learns what was wrong with it and nobody else notices (protocol.md §1.6, §4). */
let db: TestDatabase;
let daemon: Daemon;
/** In the same group as the offender where that is possible, and open all the time. */
let witness: RawClient;
const witnessGroup = `g${randomBytes(5).toString('hex')}`;

const issues = {
  tables: {
    issue: {columns: {id: {type: 'string'}, title: {type: 'string'}}, primaryKey: ['id']},
  },
};
const named = (arg: unknown) => ({op: 'put', hash: 'n', name: 'n', args: [arg]});
const nested = (levels: number): unknown => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`);
const put = (hash: string, table: string) => ({op: 'put', hash, ast: {table, orderBy: [['id', 'asc']]}});

beforeAll(async () => {
  db = await createDatabase('CREATE TABLE issue (id text PRIMARY KEY, title text)');
  daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {ZERO_AUTH_SECRET: 'a secret of some length for HS256', ZERO_WEBSOCKET_MAX_PAYLOAD_BYTES: '100000'},
  });
  witness = rawClient({
    server: daemon.url,
    clientGroupID: witnessGroup,
    init: {clientSchema: issues, desiredQueriesPatch: [put('w', 'issue')]},
  });
  await witness.next('pokePart', (part: {gotQueriesPatch?: unknown}) => part.gotQueriesPatch !== undefined);
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
});

/** The witness is still served: a query it adds is got. */
const othersAreServed = async () => {
  const hash = `w${randomBytes(4).toString('hex')}`;
  witness.send(['changeDesiredQueries', {desiredQueriesPatch: [put(hash, 'issue')]}]);
  await witness.next('pokePart', (part: {gotQueriesPatch?: {hash: string}[]}) =>
    Boolean(part.gotQueriesPatch?.some(got => got.hash === hash)),
  );
  expect(witness.errors).toEqual([]);
  expect(witness.closed).toBeNull();
};

const like = (hash: string, value: string) => {
  const {ast, ...rest} = put(hash, 'issue');
  const left = {type: 'column', name: 'title'};
  return {...rest, ast: {...ast, where: {type: 'simple', op: '=', left, right: {type: 'literal', value}}}};
};
const insert = (value: Record<string, unknown>) => ({op: 'insert' as const, tableName: 'issue', value});

const offender = (options: Partial<Parameters<typeof rawClient>[0]> = {}) =>
  rawClient({
    server: daemon.url,
    clientGroupID: witnessGroup,
    init: {desiredQueriesPatch: []},
    ...options,
  });

test.each([
  ['text that is not JSON', '{"nonsense'],
  ['JSON that is no message', '{"type":"push"}'],
  ['an empty list', '[]'],
  ['an unknown type', ['inventedMessage', {}]],
  ['a name from the prototype', ['constructor', {}]],
  ['a body that does not fit', ['changeDesiredQueries', {desiredQueriesPatch: 'all'}]],
  [
    'a query that is none',
    ['changeDesiredQueries', {desiredQueriesPatch: [{op: 'put', hash: 'x', ast: {limit: -1}}]}],
  ],
  ['a reserved query hash', ['changeDesiredQueries', {desiredQueriesPatch: [put('lmids', 'issue')]}]],
  [
    'conditions nested without end',
    `["changeDesiredQueries",{"desiredQueriesPatch":[{"op":"put","hash":"d","ast":{"table":"issue","where":${'{"type":"and","conditions":['.repeat(3000)}${']}'.repeat(3000)}}}]}]`,
  ],
  [
    'a query hash that no index of PostgreSQL takes',
    ['changeDesiredQueries', {desiredQueriesPatch: [put(randomBytes(2000).toString('hex'), 'issue')]}],
  ],
  ['a query hash with NUL', ['changeDesiredQueries', {desiredQueriesPatch: [put('a\0b', 'issue')]}]],
  ['arguments nested too deeply', ['changeDesiredQueries', {desiredQueriesPatch: [named(nested(501))]}]],
  [
    'arguments nested without end',
    `["changeDesiredQueries",{"desiredQueriesPatch":[{"op":"put","hash":"d","name":"n","args":${'['.repeat(90_000 / 2)}${']'.repeat(90_000 / 2)}}]}]`,
  ],
])('%s gets InvalidMessage and ends its own socket', async (_, message) => {
  using client = offender();
  await client.next('pokeEnd');
  client.send(message);
  await client.ended();
  expect(client.errors.map(({kind}) => kind)).toEqual(['InvalidMessage']);
  await othersAreServed();
});

/** Otherwise the client would be told for ever that the database is busy, and a value too deep for SQLite end others' queries. */
test.each([
  [
    'a value nested too deeply',
    (client: RawClient) => client.crud(1, [insert({id: 'deep', title: nested(501)})]),
  ],
  [
    'a table named with NUL',
    (client: RawClient) => client.crud(1, [{...insert({id: 'x'}), tableName: 'a\0b'}]),
  ],
  ['a column named with NUL', (client: RawClient) => client.crud(1, [insert({id: 'x', 'a\0b': 1})])],
  ['a client named with NUL', (client: RawClient) => client.crud(1, [insert({id: 'x'})], 'c\0d')],
  [
    'a client of an endless name',
    (client: RawClient) => client.crud(1, [insert({id: 'x'})], randomBytes(2000).toString('hex')),
  ],
])('a mutation with %s gets InvalidMessage', async (_, mutate) => {
  using client = offender();
  await client.next('pokeEnd');
  mutate(client);
  await client.ended();
  expect(client.errors.map(({kind}) => kind)).toEqual(['InvalidMessage']);
  await othersAreServed();
});

test.each(['constructor', '__proto__', 'toString'])('a client may call itself %s', async clientID => {
  const init = {clientSchema: issues, desiredQueriesPatch: [put('q', 'issue')]};
  using client = rawClient({server: daemon.url, clientID, init});
  client.crud(1, [insert({id: clientID})]);
  await client.confirmed(1);
  const told = await client.next<{desiredQueriesPatches: object}>('pokePart', part =>
    Boolean(part.desiredQueriesPatches),
  );
  expect(Object.entries(told.desiredQueriesPatches)).toEqual([[clientID, [{op: 'put', hash: 'q'}]]]);
  // And from what is stored.
  const {clientGroupID} = client;
  using again = offender({clientGroupID, clientID, baseCookie: '00'});
  await again.confirmed(1);
  expect(client.errors).toEqual([]);
  expect(again.errors).toEqual([]);
});

test('a binary frame is read as text', async () => {
  using client = offender();
  await client.next('pokeEnd');
  client.socket.send(Buffer.from([0, 255, 254]));
  await client.ended();
  expect(client.errors.map(({kind}) => kind)).toEqual(['InvalidMessage']);
  await othersAreServed();
});

test('a query over an unknown table fails alone', async () => {
  using client = offender();
  await client.next('pokeEnd');
  client.send(['changeDesiredQueries', {desiredQueriesPatch: [put('bad', 'nowhere'), put('good', 'issue')]}]);
  await client.next('pokePart', (part: {gotQueriesPatch?: {hash: string}[]}) =>
    Boolean(part.gotQueriesPatch?.some(got => got.hash === 'good')),
  );
  const [failed] = await client.next<{id: string; message: string}[]>('transformError');
  expect(failed).toMatchObject({id: 'bad'});
  expect(failed?.message).toContain('nowhere');
  await othersAreServed();
});

/** PostgreSQL could not store it, and the whole group failed. */
test.each([
  ['NUL', like('bad', 'a\0')],
  ['NUL in its arguments', {...named('a\0'), hash: 'bad'}],
])('a query with %s fails alone', async (_, bad) => {
  const init = {clientSchema: issues, desiredQueriesPatch: [bad, put('good', 'issue')]};
  using client = rawClient({server: daemon.url, init});
  await client.next('pokePart', (part: {gotQueriesPatch?: {hash: string}[]}) =>
    Boolean(part.gotQueriesPatch?.some(got => got.hash === 'good')),
  );
  const [failed] = await client.next<{id: string; message: string}[]>('transformError');
  expect(failed).toMatchObject({id: 'bad', message: expect.stringContaining('NUL') as string});
  // What only looks like it is none.
  client.send(['changeDesiredQueries', {desiredQueriesPatch: [like('fine', 'a\\ud83d\\u0000 \u{1f600}')]}]);
  await client.next('pokePart', (part: {gotQueriesPatch?: {hash: string}[]}) =>
    Boolean(part.gotQueriesPatch?.some(got => got.hash === 'fine')),
  );
  expect(client.errors).toEqual([]);
});

/** The original answers it as well. */
test('a text that was cut within an emoji is searched for as UTF-8 has it', async () => {
  const init = {
    clientSchema: issues,
    desiredQueriesPatch: [like('first', 'cut \ud83d'), put('all', 'issue')],
  };
  using client = rawClient({server: daemon.url, init});
  const got = (hash: string) =>
    client.next('pokePart', (part: {gotQueriesPatch?: {hash: string}[]}) =>
      Boolean(part.gotQueriesPatch?.some(query => query.hash === hash)),
    );
  await got('first');
  client.send(['changeDesiredQueries', {desiredQueriesPatch: [like('second', '\udc00 cut')]}]);
  await got('second');
  expect(client.errors).toEqual([]);
  expect(client.received.filter(([type]) => type === 'transformError')).toEqual([]);
});

test('names may be as long as is said, all of them together', async () => {
  const name = () => randomBytes(350).toString('hex');
  const hash = name();
  const init = {clientSchema: issues, desiredQueriesPatch: [put(hash, 'issue')]};
  using client = rawClient({server: daemon.url, clientGroupID: name(), clientID: name(), init});
  await client.next('pokePart', (part: {gotQueriesPatch?: {hash: string}[]}) =>
    Boolean(part.gotQueriesPatch?.some(got => got.hash === hash)),
  );
  client.crud(1, [insert({id: name()})]);
  await client.confirmed(1);
  expect(client.errors).toEqual([]);
});

test('a message over the size limit closes its socket with 1009', async () => {
  using client = offender();
  await client.next('pokeEnd');
  client.send(JSON.stringify(['ping', {padding: 'x'.repeat(200_000)}]));
  expect((await client.ended()).code).toBe(1009);
  await othersAreServed();
});

/** Known fault 1 of the original: this ended its server. */
test('an unsigned token, and tokens of any length, end no more than their own connection', async () => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const unsigned = `${part({alg: 'none', typ: 'JWT'})}.${part({sub: 'u1'})}.`;
  for (const token of [
    unsigned,
    'no-token-at-all',
    `${'ä'.repeat(500)}.b.c`,
    `${part({alg: 'x'.repeat(900)})}.a.b`,
  ]) {
    using client = offender({token});
    const {code, reason} = await client.ended();
    expect(client.errors.map(({kind}) => kind)).toEqual(['AuthInvalidated']);
    expect(code).toBe(3000);
    expect(reason.length).toBeLessThanOrEqual(123);
    expect(reason.length).toBeGreaterThan(0);
  }
  await othersAreServed();
});

test('a connect without its parameters, or with an unreadable header, is closed with 1002 and the reason', async () => {
  const good = connectUrl({server: daemon.url}, 'g', 'c');
  const without = (name: string) => {
    const url = new URL(good);
    url.searchParams.delete(name);
    return url.href;
  };
  const closing = async (url: string, protocol: string) => {
    const socket = new WebSocket(url, protocol);
    return new Promise<{code: number; reason: string}>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('close', (code, reason) => resolve({code, reason: String(reason)}));
    });
  };
  const header = protocolHeader(null);
  for (const name of ['clientGroupID', 'clientID', 'ts', 'lmid']) {
    const {code, reason} = await closing(without(name), header);
    expect({code, reason}).toEqual({code: 1002, reason: expect.stringContaining(name) as string});
  }
  for (const name of ['clientGroupID', 'clientID', 'userID', 'wsid', 'profileID']) {
    const {code, reason} = await closing(`${without(name)}&${name}=a%00b`, header);
    expect({code, reason}).toEqual({code: 1002, reason: expect.stringContaining(name) as string});
  }
  for (const name of ['clientGroupID', 'clientID', 'profileID']) {
    const {code, reason} = await closing(`${without(name)}&${name}=${'ä'.repeat(351)}`, header);
    expect({code, reason}).toEqual({
      code: 1002,
      reason: expect.stringMatching(`${name}, it is longer than 700 bytes`) as string,
    });
  }
  expect(await closing(good, 'bm90LWpzb24')).toMatchObject({code: 1002});
  expect(await closing(good, encodeURIComponent(Buffer.from('"text"').toString('base64')))).toMatchObject({
    code: 1002,
  });
  expect(await closing(good.replace('/connect', '/con/nect'), header)).toMatchObject({code: 1002});
  const long = new URL(good);
  long.searchParams.set('ts', 'ü'.repeat(4000));
  expect(await closing(long.href, header)).toMatchObject({code: 1002});
  await othersAreServed();
});

test.each([
  [29, 'The client must be updated'],
  [9999, 'The server must be updated'],
])('protocol v%i is refused by name', async (protocol, whose) => {
  using client = offender({protocol});
  await client.ended();
  expect(client.errors).toMatchObject([{kind: 'VersionNotSupported', origin: 'zeroCache'}]);
  expect(client.errors[0]?.message).toContain(whose);
  // What such a client says may have another form.
  using other = offender({protocol, init: {desiredQueriesPatch: {of: 'another form'}}});
  await other.ended();
  expect(other.errors).toMatchObject([{kind: 'VersionNotSupported'}]);
});

test('garbage instead of an upgrade harms nobody', async () => {
  const say = (bytes: string | Buffer) =>
    new Promise<void>(resolve => {
      const socket = connectSocket(daemon.port, '127.0.0.1', () => socket.write(bytes));
      socket.on('error', () => {});
      socket.on('data', () => {});
      socket.on('close', () => resolve());
      // Some of it looks like the beginning of something; the other side may wait for the rest.
      setTimeout(() => socket.destroy(), 500);
    });
  const upgrade = (path: string, more: string) =>
    `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${more}\r\n`;
  await Promise.all([
    say(randomBytes(3000)),
    say('GET / HTTP/9.9\r\n\r\n'),
    say(upgrade('/sync/v51/connect', '')),
    say(upgrade('/sync/v51/connect', 'Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: short\r\n')),
    say(
      upgrade(
        'http://[/sync',
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
      ),
    ),
    say(upgrade('//', 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n')),
    say(upgrade('/sync/v51/connect', `X: ${'y'.repeat(100_000)}\r\n`)),
    say(`GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n`),
    fetch(`${daemon.url}//`).then(response => response.arrayBuffer()),
  ]);
  await othersAreServed();
});

test('a ping is answered however it is written, and what only begins like one is no ping', async () => {
  using client = offender();
  await client.next('pokeEnd');
  client.send(' [ "ping" , {} ] ');
  await client.next('pong');
  client.send('["ping"nonsense');
  await client.ended();
  expect(client.errors.map(({kind}) => kind)).toEqual(['InvalidMessage']);
  expect(client.received.filter(([type]) => type === 'pong')).toHaveLength(1);
});

test.each([
  ['changeDesiredQueries', {desiredQueriesPatch: []}],
  ['push', pushOf(witnessGroup, [])[1]],
  ['deleteClients', {clientIDs: ['somebody']}],
  ['updateAuth', {auth: ''}],
  ['ackMutationResponses', {id: 1, clientID: 'somebody'}],
  ['inspect', {op: 'version', id: 'i'}],
])('%s before initConnection gets InvalidMessage', async (type, body) => {
  using client = offender({init: null, clientGroupID: witnessGroup});
  await client.next('connected');
  client.send([type, body]);
  await client.ended();
  expect(client.errors.map(({kind}) => kind)).toEqual(['InvalidMessage']);
  expect(client.received).toHaveLength(2);
});

test('a client that deletes itself is refused', async () => {
  using client = offender();
  await client.next('pokeEnd');
  client.send(['deleteClients', {clientIDs: [client.clientID]}]);
  await client.ended();
  expect(client.errors.map(({kind}) => kind)).toEqual(['InvalidMessage']);
  await othersAreServed();
});

/** Known fault 16 of the original. */
test.each([
  ['words', 'x y'],
  ['separators', 'zzzzzz:::'],
  ['NUL', '\u0000'],
  ['an impossible length', '99'],
  ['thousands of digits', '1'.repeat(5000)],
])('a cookie of %s is answered with an error that clients know', async (_, baseCookie) => {
  using client = rawClient({server: daemon.url, baseCookie, init: {desiredQueriesPatch: []}});
  await client.ended();
  expect(['ClientNotFound', 'InvalidConnectionRequestBaseCookie', 'InvalidConnectionRequest']).toContain(
    client.errors[0]?.kind,
  );
  await othersAreServed();
});
