import {once} from 'node:events';
import {createServer, type IncomingHttpHeaders, type Server} from 'node:http';
import type {AddressInfo} from 'node:net';
import {createSchema, number, string, table} from '@rocicorp/zero';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {pushOf, rawClient} from '../helpers/raw-client.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';

/** ZERO_PER_USER_MUTATION_LIMIT_MAX (mutations-auth.md §9; known fault 11). */
const MAX = 5;
const schema = createSchema({
  tables: [table('t').columns({id: string(), n: number()}).primaryKey('id')],
  enableLegacyMutators: true,
  enableLegacyQueries: true,
});
const ANYONE = [['allow', {type: 'and', conditions: []}]];

let db: TestDatabase;
let daemon: Daemon;
let app: Server;
/** What the app's server was asked to do: mutation ids, and the headers they came with. */
const asked: {readonly ids: readonly number[]; readonly headers: IncomingHttpHeaders}[] = [];

beforeAll(async () => {
  db = await createDatabase('CREATE TABLE t (id text PRIMARY KEY, n int)');
  app = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', chunk => chunks.push(chunk));
    request.on('end', () => {
      const {mutations} = JSON.parse(Buffer.concat(chunks).toString()) as {
        mutations: {id: number; clientID: string}[];
      };
      asked.push({ids: mutations.map(({id}) => id), headers: request.headers});
      const results = mutations.map(({id, clientID}) => ({id: {id, clientID}, result: {}}));
      response.setHeader('Content-Type', 'application/json').end(JSON.stringify({mutations: results}));
    });
  }).listen(0, '127.0.0.1');
  await once(app, 'listening');
  daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {
      ZERO_PER_USER_MUTATION_LIMIT_MAX: String(MAX),
      ZERO_PER_USER_MUTATION_LIMIT_WINDOW_MS: '1500',
      ZERO_MUTATE_URL: `http://127.0.0.1:${(app.address() as AddressInfo).port}/mutate`,
    },
  });
  const rules = {tables: {t: {row: {select: ANYONE, insert: ANYONE}}}};
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [JSON.stringify(rules)]);
  using client = rawClient({
    server: daemon.url,
    init: {
      clientSchema: {tables: {t: {columns: {id: {type: 'string'}}, primaryKey: ['id']}}},
      desiredQueriesPatch: [{op: 'put', hash: 'q', ast: {table: 't', orderBy: [['id', 'asc']]}}],
    },
  });
  await db.query(`INSERT INTO t VALUES ('seen', 1)`);
  await client.next('pokePart', part => JSON.stringify(part).includes('seen'));
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
  app?.close();
});

const count = async (prefix: string): Promise<number> =>
  (await db.query('SELECT count(*)::int AS n FROM t WHERE starts_with(id, $1)', [prefix])).rows[0].n;

test('the stock client resumes by itself when room returns, and nothing is lost', async () => {
  await using client = stockClient({schema, server: daemon.url, storageKey: db.name, userID: 'stock'});
  const total = 3 * MAX;
  for (let i = 0; i < total; i++) void client.zero.mutate.t.insert({id: `stock${i}`, n: i});
  await until(async () => (await count('stock')) > 0, 'the first are written');
  expect(await count('stock')).toBeLessThan(total);
  await until(async () => (await count('stock')) === total, 'all are written');
  expect(client.complaints).toEqual([]);
});

/** Known fault 11 of the original: there the limit is forgotten with the last connection, and a gap ends the client. */
test('the limit holds over connections and reconnects of a user; what waits is told, kept in order and never a gap', async () => {
  const connect = (options: object = {}) =>
    rawClient({server: daemon.url, readIn: db, userID: 'raw', ...options});
  using first = connect();
  using second = connect();
  using other = connect({userID: 'somebody else'});
  for (let id = 1; id <= MAX; id++) first.crud(id, [insert(`first${id}`)]);
  await first.confirmed(MAX);
  second.crud(1, [insert('second1')]);
  second.crud(2, [insert('second2')]);
  await second.next('error');
  expect(second.errors).toEqual([
    {kind: 'MutationRateLimited', message: 'Rate limit exceeded', origin: 'zeroCache'},
  ]);
  other.crud(1, [insert('other1')]);
  await other.confirmed(1);
  second.socket.terminate();
  using again = connect({clientGroupID: second.clientGroupID, clientID: second.clientID});
  for (let id = 1; id <= 2 * MAX; id++) again.crud(id, [insert(`second${id}`)]);
  // Told or not, a client may send again: what waits already does not wait twice.
  again.crud(2 * MAX, [insert(`second${2 * MAX}`)]);
  await again.confirmed(2 * MAX);
  expect(await count('second')).toBe(2 * MAX);
  expect([...first.errors, ...other.errors]).toEqual([]);
  expect(new Set(again.errors.map(({kind}) => kind))).toEqual(new Set(['MutationRateLimited']));
  expect(again.closed).toBeNull();
});

test('custom mutations count as well, in one order with the others, and reach the app under their trace', async () => {
  using client = rawClient({server: daemon.url, userID: 'custom'});
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const total = 2 * MAX;
  const mutations = Array.from({length: total}, (_, i) => ({
    type: 'custom',
    id: i + 1,
    clientID: client.clientID,
    name: 'do',
    args: [null],
    timestamp: 0,
  }));
  const [type, body] = pushOf(client.clientGroupID, mutations);
  client.send([type, {...(body as object), traceparent}]);
  await client.next('error');
  const ids = () => asked.flatMap(request => request.ids);
  expect(ids().length).toBeLessThan(total);
  await until(() => ids().length === total, 'all have reached the app');
  expect(ids()).toEqual(mutations.map(({id}) => id));
  expect(new Set(asked.map(({headers}) => headers['traceparent']))).toEqual(new Set([traceparent]));
  expect(client.errors.map(({kind}) => kind)).toEqual(['MutationRateLimited']);
});

const insert = (id: string) => ({op: 'insert' as const, tableName: 't', value: {id, n: 1}});
