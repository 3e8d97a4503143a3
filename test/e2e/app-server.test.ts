import type {ServerResponse} from 'node:http';
import {afterAll, afterEach, beforeAll, expect, test} from 'vitest';
import {ddl, mutators, queries, schema} from '../helpers/app-schema.ts';
import {type AppServer, bearer, startAppServer} from '../helpers/app-server.ts';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {pushOf, rawClient} from '../helpers/raw-client.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';

/** Custom mutators and named queries, with the stock client and the stock server library (mutations-auth.md §6, §7). */
let db: TestDatabase;
let app: AppServer;
let daemon: Daemon;

beforeAll(async () => {
  db = await createDatabase(ddl);
  app = await startAppServer(db.pool);
  daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {
      ZERO_MUTATE_URL: `${app.url}/mutate`,
      ZERO_QUERY_URL: `${app.url}/query`,
      ZERO_MUTATE_API_KEY: 'mutate-key',
      ZERO_QUERY_API_KEY: 'query-key',
      ZERO_QUERY_FORWARD_COOKIES: 'true',
      ZERO_QUERY_ALLOWED_CLIENT_HEADERS: 'x-chosen',
      ZERO_QUERY_ALLOWED_REQUEST_HEADERS: 'X-Request',
    },
  });
});

afterEach(() => {
  app.intercept = null;
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await app?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
});

const connect = (name: string, options: object = {}) => {
  const client = stockClient({
    schema,
    mutators,
    server: daemon.url,
    storageKey: `${db.name}${name}`,
    userID: name,
    auth: name,
    logLevel: 'silent' as never,
    ...options,
  } as never);
  return Object.assign(client, {zero: client.zero as never as Loose});
};

const add = (id: string, text = 'text', rank = 1) => mutators.note.add({id, text, rank});
const served = async (client: {zero: Loose}, limit: number) => {
  const view = client.zero.materialize(queries.top({limit}));
  let type = '';
  view.addListener((_, now) => {
    type = now;
  });
  await until(() => type !== '' && type !== 'unknown', `top ${limit} is answered`, 20_000);
  return type;
};
const state = (client: {zero: Loose}) => client.zero.connection.state.current.name;

test('a custom mutator runs in the app, its row comes by a named query, its result is forgotten when seen', async () => {
  await using client = connect('ann');
  const view = client.zero.materialize(queries.top({limit: 10}));
  expect(await client.zero.mutate(add('n1')).server).toMatchObject({type: 'success'});
  await until(() => view.data.length === 1, 'the note is there');
  expect(await client.zero.mutate(add('n2', 'forbidden')).server).toMatchObject({
    type: 'error',
    error: {type: 'app', message: 'Such notes are not taken.'},
  });
  expect(await client.zero.mutate(add('n3')).server).toMatchObject({type: 'success'});
  await until(
    async () => (await db.query(`SELECT 1 FROM "${db.appID}_0".mutations`)).rowCount === 0,
    'the stored result is cleaned up',
  );
  expect(client.complaints).toEqual([]);
  const mutate = app.requests.find(({path}) => path === '/mutate')!;
  expect(mutate.params).toEqual({schema: `${db.appID}_0`, appID: db.appID});
  expect(mutate.headers).toMatchObject({'x-api-key': 'mutate-key', authorization: 'Bearer ann'});
  const query = app.requests.find(({path}) => path === '/query')!;
  expect(query.headers).toMatchObject({'x-api-key': 'query-key', authorization: 'Bearer ann'});
  // The first question of all is whether the user is accepted.
  expect(query.body).toEqual(['transform', []]);
});

test('a query that the app refuses fails alone', async () => {
  await using client = connect('bob');
  expect(await served(client, 1000)).toBe('error');
  expect(await served(client, 3)).toBe('complete');
  expect(state(client)).toBe('connected');
});

test('a query that was refused is answered when it is asked for again and the app agrees', async () => {
  await using client = connect('bea');
  let refuses = true;
  app.intercept = ({path, body}, response) => {
    const asked = path === '/query' ? (body as {id: string; name: string}[][])[1]! : [];
    if (!refuses || asked.length === 0) return false;
    const answers = asked.map(({id, name}) => ({error: 'app', id, name, message: 'Not yet.'}));
    response.end(JSON.stringify({kind: 'QueryResponse', queries: answers}));
    return true;
  };
  const view = client.zero.materialize(queries.top({limit: 12}));
  let type = '';
  view.addListener((_, now) => {
    type = now;
  });
  await until(() => type === 'error', 'the query is refused');
  refuses = false;
  view.destroy();
  // Of a query that was asked for twice the second refusal may still be on its way; it comes before this answer.
  expect(await served(client, 13)).toBe('complete');
  expect(await served(client, 12)).toBe('complete');
  expect(state(client)).toBe('connected');
});

test('many mutations while the app is busy go out together and in order', async () => {
  await using client = connect('carl');
  await served(client, 4);
  let release = () => {};
  const held = new Promise<void>(resolve => {
    release = resolve;
  });
  let first = true;
  app.intercept = async ({path}) => {
    if (path === '/mutate' && first) {
      first = false;
      await held;
    }
    return false;
  };
  const before = app.requests.length;
  const results = Array.from({length: 20}, (_, i) => client.zero.mutate(add(`many${i}`)).server);
  await until(() => !first, 'the first push is on its way');
  release();
  for (const result of results) expect(await result).toMatchObject({type: 'success'});
  const pushes = app.requests.slice(before).filter(({path}) => path === '/mutate');
  expect(pushes.length).toBeLessThan(results.length);
  const ids = pushes.flatMap(({body}) => (body as {mutations: {id: number}[]}).mutations.map(({id}) => id));
  expect(ids).toEqual([...ids].sort((a, b) => a - b));
});

test('a CRUD mutation waits a moment for the custom one before it', async () => {
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [
    JSON.stringify({tables: {note: {row: {insert: [['allow', {type: 'and', conditions: []}]]}}}}),
  ]);
  using client = rawClient({server: daemon.url, userID: null});
  await client.next('pokeEnd');
  app.intercept = async ({path}) => {
    if (path === '/mutate') await new Promise(resolve => setTimeout(resolve, 80));
    return false;
  };
  const custom = {
    type: 'custom',
    id: 1,
    clientID: client.clientID,
    name: 'note.add',
    args: [{id: 'mixed1', text: 'custom', rank: 1}],
    timestamp: 1,
  };
  client.send(pushOf(client.clientGroupID, [custom]));
  client.crud(2, [{op: 'insert', tableName: 'note', value: {id: 'mixed2', text: 'crud', rank: 2}}]);
  await client.confirmed(2);
  expect(client.errors).toEqual([]);
});

test('server errors are tried again, and nobody else notices', async () => {
  await using client = connect('dora');
  await served(client, 5);
  let failures = 0;
  app.intercept = ({path}, response) => {
    if (path !== '/mutate' || failures >= 3) return false;
    failures++;
    response.statusCode = 503;
    response.end('busy');
    return true;
  };
  expect(await client.zero.mutate(add('retried')).server).toMatchObject({type: 'success'});
  expect(failures).toBe(3);
});

test.each([
  [
    'is down for good',
    (response: ServerResponse) => {
      response.statusCode = 500;
      return 'oops';
    },
    'error',
  ],
  ['answers nonsense', () => '<html>', 'error'],
  ['answers other JSON', () => '{"kind":"Surprise"}', 'error'],
  [
    'refuses the user',
    (response: ServerResponse) => {
      response.statusCode = 401;
      return 'who?';
    },
    'needs-auth',
  ],
])('an app server that %s gives its client an error and leaves others alone', async (_, answer, expected) => {
  await using other = connect('other');
  await served(other, 7);
  for (const path of ['/mutate', '/query'] as const) {
    await using client = connect(`victim${path.slice(1)}`);
    await served(client, 6);
    app.intercept = (request, response) => {
      if (request.path !== path || request.headers.authorization !== `Bearer victim${path.slice(1)}`)
        return false;
      response.end(answer(response));
      return true;
    };
    if (path === '/mutate') void client.zero.mutate(add('never')).server.catch(() => {});
    else client.zero.materialize(queries.byText({text: 'x'}));
    await until(() => state(client) === expected, `the client is in state ${expected}`, 20_000);
    expect(state(other)).toBe('connected');
  }
  app.intercept = null;
  expect(await other.zero.mutate(add(`other${Math.random()}`)).server).toMatchObject({type: 'success'});
});

test('an app server that is slow for one user keeps nobody else waiting, other tabs of that user included', async () => {
  await using tab = connect('slow');
  await served(tab, 8);
  await using other = connect('quick');
  const held: (() => void)[] = [];
  app.intercept = ({headers, path}) =>
    headers.authorization === 'Bearer slow' && path === '/query'
      ? new Promise(resolve => held.push(() => resolve(false)))
      : false;
  const view = tab.zero.materialize(queries.byText({text: 'slow'}));
  await until(() => held.length > 0, 'the app is asked');
  expect(await served(other, 8)).toBe('complete');
  // Changes reach the waiting client all the same.
  const watched = tab.zero.materialize(queries.top({limit: 8}));
  expect(await other.zero.mutate(add('meanwhile', 'slow', 1000)).server).toMatchObject({type: 'success'});
  await until(() => watched.data[0]?.id === 'meanwhile', 'the change arrives');
  app.intercept = null;
  for (const release of held) release();
  await until(() => view.data.length === 1, 'the slow answer arrives in the end');
  expect(state(tab)).toBe('connected');
});

test('a user that the app knows by another id is refused', async () => {
  app.userID = () => 'somebody else';
  try {
    await using client = connect('eve');
    await until(() => state(client) === 'needs-auth', 'the client needs another token');
  } finally {
    app.userID = bearer;
  }
});

test('headers, cookies and addresses go through only as far as they are allowed', async () => {
  using client = rawClient({
    server: daemon.url,
    userID: 'fred',
    token: 'fred',
    headers: {cookie: 'session=1', origin: 'http://app.example', 'x-request': 'r', 'x-other': 'o'},
    init: {
      clientSchema: {tables: {}},
      desiredQueriesPatch: [],
      userQueryURL: `${app.url}/query?more=1`,
      userQueryHeaders: {'X-Chosen': 'c', 'X-Api-Key': 'mine', Authorization: 'Bearer eve'},
    },
  });
  await client.next('pokeEnd');
  const {headers, params} = app.requests.find(request => request.headers.authorization === 'Bearer fred')!;
  expect(params).toMatchObject({more: '1', appID: db.appID});
  expect(headers).toMatchObject({
    'x-api-key': 'query-key',
    'x-chosen': 'c',
    'x-request': 'r',
    origin: 'http://app.example',
    cookie: 'session=1',
  });
  expect(headers).not.toHaveProperty('x-other');
  using elsewhere = rawClient({
    server: daemon.url,
    userID: 'gert',
    token: 'gert',
    init: {clientSchema: {tables: {}}, desiredQueriesPatch: [], userQueryURL: 'http://169.254.169.254/query'},
  });
  await elsewhere.ended();
  expect(elsewhere.errors).toMatchObject([
    {kind: 'TransformFailed', origin: 'zeroCache', reason: 'internal'},
  ]);
});

test('what a query means to a user is asked once for all tabs that come together, and anew for another user', async () => {
  const open = (name: string, more: object = {}) =>
    rawClient({
      server: daemon.url,
      userID: name,
      token: name,
      init: {
        clientSchema: {tables: {}},
        desiredQueriesPatch: [{op: 'put', hash: 'h', name: 'byText', args: [{text: name}]}],
      },
      ...more,
    });
  const asked = (name: string) =>
    app.requests.filter(
      ({path, headers, body}) =>
        path === '/query' &&
        headers.authorization === `Bearer ${name}` &&
        (body as unknown[][])[1]!.length > 0,
    ).length;
  const got = (client: ReturnType<typeof open>) =>
    client.next('pokePart', part =>
      JSON.stringify(part).includes('"gotQueriesPatch":[{"op":"put","hash":"h"'),
    );
  using one = open('ida');
  await got(one);
  using two = open('ida');
  using tab = open('ida', {clientGroupID: one.clientGroupID});
  await got(two);
  await tab.next('pokeEnd');
  expect(asked('ida')).toBe(1);
  // What the app gets to see makes a difference.
  using other = open('ida', {headers: {'x-request': 'other'}});
  await got(other);
  expect(asked('ida')).toBe(2);
  using john = open('john');
  await got(john);
  expect(asked('john')).toBe(1);
});

interface View {
  readonly data: readonly {readonly id: string}[];
  addListener(listener: (data: unknown, type: string) => void): void;
  destroy(): void;
}

/** The stock client without its deep types. */
interface Loose {
  materialize(query: unknown): View;
  mutate(request: unknown): {client: Promise<unknown>; server: Promise<unknown>};
  connection: {state: {current: {name: string}}};
}
