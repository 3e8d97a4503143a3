import {randomBytes} from 'node:crypto';
import type {Socket} from 'node:net';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {type Daemon, inspectionOf, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {type CrudOpInput, type RawClient, rawClient} from '../helpers/raw-client.ts';
import {until} from '../helpers/until.ts';
import {anyone} from './permissions.ts';

/** Messages that fit the protocol's form and mean harm: each is answered for itself, and a witness in the same group served on. */
let db: TestDatabase;
let daemon: Daemon;
let witness: RawClient;
const clientGroupID = `g${randomBytes(5).toString('hex')}`;
const clientSchema = {
  tables: {
    thing: {
      columns: {
        id: {type: 'string'},
        n: {type: 'number'},
        b: {type: 'boolean'},
        j: {type: 'json'},
        at: {type: 'number'},
      },
      primaryKey: ['id'],
    },
  },
};

beforeAll(async () => {
  db =
    await createDatabase(`CREATE TABLE thing (id text PRIMARY KEY, n int, b bool, j jsonb, at timestamptz, tags text[]);
    INSERT INTO thing (id, n) VALUES ('w', 0), ('x', 1)`);
  daemon = await startDaemon({upstream: db.url, appID: db.appID});
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [
    JSON.stringify({tables: {thing: {row: anyone}}}),
  ]);
  const put = {op: 'put', hash: 'all', ast: {table: 'thing', orderBy: [['id', 'asc']]}};
  witness = rawClient({server: daemon.url, clientGroupID, init: {clientSchema, desiredQueriesPatch: [put]}});
  await witness.next('pokePart', part => JSON.stringify(part).includes('"id":"w"'));
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
});

let ticks = 0;
const othersAreServed = async () => {
  const n = ++ticks;
  await db.query(`UPDATE thing SET n = $1 WHERE id = 'w'`, [n]);
  await witness.next('pokePart', part => JSON.stringify(part).includes(`"id":"w","n":${n}`));
  expect(witness.errors).toEqual([]);
  expect(witness.closed).toBeNull();
};

const cmp = (left: unknown, op: string, right: unknown) => ({type: 'simple', op, left, right});
const col = (name: string) => ({type: 'column', name});
const lit = (value: unknown) => ({type: 'literal', value});
const ofThing = (more: object) => ({table: 'thing', ...more});
const where = (condition: unknown) => ofThing({where: condition});
const subquery = (more: object, correlation = {parentField: ['id'], childField: ['id']}) => ({
  correlation,
  subquery: {table: 'thing', alias: 'sub', ...more},
});
const exists = (related: object, more: object = {}) =>
  where({type: 'correlatedSubquery', op: 'EXISTS', related, ...more});
const VALUES = [
  null,
  true,
  0,
  -0,
  1.5,
  1e308,
  2 ** 53,
  '',
  '1',
  'true',
  '\u0000'.slice(1),
  [],
  [1, 'a', true],
  ['a', 'b'],
  'x'.repeat(50_000),
];
const OPS = ['=', '!=', 'IS', 'IS NOT', '<', '>=', 'LIKE', 'NOT ILIKE', 'IN', 'NOT IN'];

const QUERIES: unknown[] = [
  ...['id', 'n', 'b', 'j', 'at', 'tags', 'none', '__proto__', '_0_version', 'rowid', 'id"; --'].flatMap(
    name => OPS.flatMap(op => VALUES.map(value => where(cmp(col(name), op, lit(value))))),
  ),
  ...OPS.flatMap(op => VALUES.map(value => where(cmp(lit(value), op, lit(1))))),
  where(cmp({type: 'static', anchor: 'authData', field: 'sub'}, '=', lit('a'))),
  where(cmp(col('id'), '=', {type: 'static', anchor: 'authData', field: ['constructor', 'name']})),
  where(cmp(col('id'), '=', {type: 'static', anchor: 'preMutationRow', field: '__proto__'})),
  where(cmp(col('id'), 'LIKE', lit('%_'.repeat(20_000)))),
  where(cmp(col('id'), 'LIKE', lit('\\'))),
  where({type: 'and', conditions: []}),
  where({type: 'or', conditions: []}),
  where({type: 'or', conditions: Array.from({length: 3000}, (_, n) => cmp(col('n'), '=', lit(n)))}),
  where({type: 'and', conditions: Array.from({length: 3000}, (_, n) => cmp(col('n'), '!=', lit(n)))}),
  where(cmp(col('n'), 'IN', lit(Array.from({length: 40_000}, (_, n) => n)))),
  ofThing({limit: 0}),
  ofThing({limit: Number.MAX_SAFE_INTEGER}),
  ofThing({orderBy: [['none', 'asc']]}),
  ofThing({orderBy: [['j', 'desc']]}),
  ofThing({orderBy: Array.from({length: 3000}, (_, n) => [n % 2 ? 'n' : 'id', 'asc'])}),
  ofThing({start: {row: {}, exclusive: true}, orderBy: [['id', 'asc']]}),
  ofThing({start: {row: {none: 1}, exclusive: true}}),
  ofThing({start: {row: {id: {a: [1]}}, exclusive: false}, orderBy: [['id', 'asc']]}),
  ofThing({start: {row: {id: null, n: 'text'}, exclusive: false}, orderBy: [['n', 'asc']]}),
  ofThing({schema: 'pg_catalog'}),
  ofThing({alias: '__proto__'}),
  ofThing({related: [subquery({alias: '__proto__'}), subquery({alias: 'constructor'})]}),
  ofThing({related: [subquery({table: 'pg_authid'})]}),
  ofThing({related: [subquery({}, {parentField: ['id', 'n'], childField: ['id']})]}),
  ofThing({related: [subquery({}, {parentField: ['none'], childField: ['id']})]}),
  ofThing({related: [subquery({}, {parentField: ['j'], childField: ['j']})]}),
  ofThing({related: [subquery({}, {parentField: ['n'], childField: ['id']})]}),
  ofThing({related: Array.from({length: 300}, (_, n) => subquery({alias: `a${n}`}))}),
  exists(subquery({}, {parentField: ['b'], childField: ['j']})),
  exists(subquery({start: {row: {id: 'a'}, exclusive: true}})),
  exists(subquery({where: cmp(col('id'), '=', lit('w'))}), {scalar: true, flip: true}),
  exists(subquery({limit: 0})),
  {table: 'sqlite_master'},
  {table: '_zero.replicationConfig'},
  {table: '__proto__'},
  {table: ''},
  {table: 'thing" JOIN x'},
];

test('queries of every confusion of types are answered or refused one by one', async () => {
  using client = rawClient({server: daemon.url, clientGroupID, init: {desiredQueriesPatch: []}});
  await client.next('pokeEnd');
  const told = () => {
    const hashes = new Set<string>();
    for (const [type, body] of client.received as unknown as [string, unknown][]) {
      if (type === 'transformError') for (const {id} of body as {id: string}[]) hashes.add(id);
      if (type === 'pokePart')
        for (const {op, hash} of (body as {gotQueriesPatch?: {op: string; hash: string}[]}).gotQueriesPatch ??
          [])
          if (op === 'put') hashes.add(hash);
    }
    return hashes;
  };
  const CHUNK = 100;
  for (let at = 0; at < QUERIES.length; at += CHUNK) {
    const patch = QUERIES.slice(at, at + CHUNK).map((ast, i) => ({op: 'put', hash: `q${at + i}`, ast}));
    client.send(['changeDesiredQueries', {desiredQueriesPatch: patch}]);
    await until(
      () => client.closed !== null || patch.every(({hash}) => told().has(hash)),
      `all of ${at} and following are answered; not ${patch.filter(({hash}) => !told().has(hash)).map(({hash}) => hash)}`,
    );
    expect(client.errors).toEqual([]);
    client.send(['changeDesiredQueries', {desiredQueriesPatch: patch.map(({hash}) => ({op: 'del', hash}))}]);
  }
  expect(client.closed).toBeNull();
  await othersAreServed();
}, 180_000);

const within = (levels: number): object =>
  levels === 0 ? ofThing({}) : exists(subquery(within(levels - 1)));

test('a query of more EXISTS within each other than SQLite takes is told so, and 20 are taken', async () => {
  using client = rawClient({server: daemon.url, clientGroupID, init: {desiredQueriesPatch: []}});
  await client.next('pokeEnd');
  const nest = (hash: string, levels: number) => ({op: 'put', hash, ast: within(levels)});
  client.send(['changeDesiredQueries', {desiredQueriesPatch: [nest('bad', 100), nest('good', 20)]}]);
  await client.next('pokePart', (part: {gotQueriesPatch?: {hash: string}[]}) =>
    Boolean(part.gotQueriesPatch?.some(got => got.hash === 'good')),
  );
  const [failed] = await client.next<{id: string; message: string}[]>('transformError');
  expect(failed).toMatchObject({
    id: 'bad',
    message: expect.stringMatching(/nests EXISTS .*too deeply: .* 1,000 levels/) as string,
  });
});

const PAIRS: [name: string, ops: CrudOpInput[]][] = [
  ...VALUES.concat([{a: 1}, {__proto__: null}] as never[]).flatMap((value, i) =>
    ['n', 'b', 'j', 'at', 'tags', 'id', 'none', '__proto__', 'a"b'].map((column): [string, CrudOpInput[]] => [
      `${column} ${i}`,
      [
        {
          op: 'upsert',
          tableName: 'thing',
          value: JSON.parse(`{"id":"m${i}",${JSON.stringify(column)}:${JSON.stringify(value)}}`),
        },
      ],
    ]),
  ),
  ['unknown table', [{op: 'insert', tableName: 'none', value: {id: 'a'}}]],
  ['a table of the catalog', [{op: 'delete', tableName: 'pg_catalog.pg_class', value: {id: 'a'}}]],
  ['its own table', [{op: 'delete', tableName: `permissions`, value: {id: 'a'}}]],
  ['no key', [{op: 'update', tableName: 'thing', value: {n: 3}}]],
  ['another key', [{op: 'delete', tableName: 'thing', primaryKey: ['n'], value: {n: 12345}}]],
  ['an unknown key', [{op: 'delete', tableName: 'thing', primaryKey: ['none'], value: {none: 1}}]],
  ['no operation', []],
  [
    'many operations',
    Array.from({length: 2000}, (_, n) => ({
      op: 'upsert',
      tableName: 'thing',
      value: {id: `many${n % 7}`, n},
    })),
  ],
];

test('mutations of every confusion take their ids one by one, and those that fail are told', async () => {
  using client = rawClient({server: daemon.url, readIn: db, clientGroupID, init: {desiredQueriesPatch: []}});
  await client.next('pokeEnd');
  for (const [i, [, ops]] of PAIRS.entries()) client.crud(i + 1, ops);
  await client.confirmed(PAIRS.length);
  const kinds = new Set(client.errors.map(({kind}) => kind));
  expect([...kinds]).toEqual(['MutationFailed']);
  expect(client.closed).toBeNull();
  expect((await db.query(`SELECT count(*)::int AS n FROM thing WHERE id = 'x'`)).rows).toEqual([{n: 1}]);
  await othersAreServed();
}, 180_000);

test.each([
  ['an id that is none', (client: RawClient) => client.crud(0, [])],
  ['an id out of reach', (client: RawClient) => client.crud(Number.MAX_SAFE_INTEGER, [])],
  [
    'ids by the thousand that are gone',
    (client: RawClient) =>
      client.send(['deleteClients', {clientIDs: Array.from({length: 100_000}, (_, n) => `gone${n}`)}]),
  ],
  [
    'thousands of queries at once',
    (client: RawClient) =>
      client.send([
        'changeDesiredQueries',
        {
          desiredQueriesPatch: Array.from({length: 5000}, (_, n) => ({
            op: 'put',
            hash: `h${n}`,
            ast: {table: 'thing', limit: n},
            ttl: 1,
          })),
        },
      ]),
  ],
  [
    'lifetimes beyond all',
    (client: RawClient) =>
      client.send([
        'changeDesiredQueries',
        {
          desiredQueriesPatch: [1e300, -1e300, -1, 0.5].map((ttl, n) => ({
            op: 'put',
            hash: `t${n}`,
            ast: {table: 'thing'},
            ttl,
          })),
        },
      ]),
  ],
  ['pulls', (client: RawClient) => client.send(['pull', {clientGroupID, cookie: 'x', requestID: 'y'}])],
  ['a close with anything', (client: RawClient) => client.send(['closeConnection', [1, {a: 2}]])],
  ['another credential', (client: RawClient) => client.send(['updateAuth', {auth: 'x'.repeat(100_000)}])],
  [
    'results that were never there',
    (client: RawClient) => client.send(['ackMutationResponses', {id: 2 ** 53 - 1, clientID: 'c'}]),
  ],
  [
    'an inspection of nothing',
    (client: RawClient) =>
      client.send(['inspect', {op: 'analyze-query', id: 'i', ast: {table: '__proto__'}}]),
  ],
  [
    'a schema again',
    (client: RawClient) =>
      client.send([
        'initConnection',
        {desiredQueriesPatch: [], clientSchema: {tables: JSON.parse('{"__proto__":{"columns":{}}}')}},
      ]),
  ],
  [
    'endpoints elsewhere',
    (client: RawClient) =>
      client.send([
        'initConnection',
        {
          desiredQueriesPatch: [],
          userQueryURL: 'file:///etc/passwd',
          userPushURL: 'gopher://x',
          userPushHeaders: {'a\nb': 'c\r\nd'},
        },
      ]),
  ],
])(
  '%s: nobody else notices, and it is no Internal',
  async (_, send) => {
    using client = rawClient({server: daemon.url, clientGroupID, init: {desiredQueriesPatch: []}});
    await client.next('pokeEnd');
    send(client);
    client.send(['inspect', {op: 'version', id: 'after'}]);
    await until(
      () =>
        client.closed !== null ||
        client.received.some(
          ([type, body]) => type === 'inspect' && (body as unknown as {id: string}).id === 'after',
        ),
      'it is dealt with',
    );
    expect(client.errors.map(({kind}) => kind)).not.toContain('Internal');
    await othersAreServed();
  },
  120_000,
);

test('hundreds of connections that come and go in one group harm nobody', async () => {
  const clients = Array.from({length: 300}, (_, n) =>
    rawClient({
      server: daemon.url,
      clientGroupID,
      clientID: `same${n % 20}`,
      init: {desiredQueriesPatch: [{op: 'put', hash: `same${n}`, ast: {table: 'thing', limit: n}}]},
    }),
  );
  try {
    await until(
      () =>
        clients.every(
          ({closed, received}) => closed !== null || received.some(([type]) => type === 'pokeEnd'),
        ),
      'each is served or replaced',
    );
    expect(new Set(clients.flatMap(({errors}) => errors.map(({kind}) => kind)))).toEqual(new Set());
    await othersAreServed();
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
}, 120_000);

test('a client that sends and never reads costs what is on the way to it, and no more', async () => {
  using client = rawClient({server: daemon.url, clientGroupID, init: {desiredQueriesPatch: []}});
  await client.next('pokeEnd');
  const {socket: raw} = client as unknown as {socket: {_socket: Socket}};
  raw._socket.pause();
  const buffered = async () => {
    const {workers} = await inspectionOf(daemon);
    const clients = workers.flatMap(({groups}) => groups.flatMap(group => group.clients));
    return clients.find(({clientID}) => clientID === client.clientID)?.bufferedBytes ?? 0;
  };
  const question = JSON.stringify(['inspect', {op: 'version', id: 'x'.repeat(90_000)}]);
  let most = 0;
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 100; i++) client.socket.send(question);
    for (let i = 0; i < 2000; i++) client.socket.send('["ping",{}]');
    most = Math.max(most, await buffered());
  }
  // Or the server has stopped to read: then what is asked stays with who asks.
  await until(async () => {
    most = Math.max(most, await buffered());
    return most > 1024 * 1024 || client.socket.bufferedAmount === 0;
  }, 'the way to the client is full');
  expect(most).toBeLessThan(6 * 1024 * 1024);
  await othersAreServed();
}, 120_000);
