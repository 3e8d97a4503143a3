import {afterAll, beforeAll, expect, test} from 'vitest';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {rawClient} from '../helpers/raw-client.ts';
import {until} from '../helpers/until.ts';

/** Every protocol version from 30 on is spoken (protocol.md §1.3). */
let db: TestDatabase;
let daemon: Daemon;
const ANYONE = [['allow', {type: 'and', conditions: []}]];
const query = {op: 'put', hash: 'q', ast: {table: 't', orderBy: [['id', 'asc']]}};
const clientSchema = {tables: {t: {columns: {id: {type: 'string'}}, primaryKey: ['id']}}};

beforeAll(async () => {
  db = await createDatabase(`CREATE TABLE t (id text PRIMARY KEY); INSERT INTO t VALUES ('first')`);
  daemon = await startDaemon({upstream: db.url, appID: db.appID});
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [
    JSON.stringify({tables: {t: {row: {select: ANYONE, insert: ANYONE}}}}),
  ]);
  await until(async () => {
    using probe = rawClient({server: daemon.url, init: {clientSchema, desiredQueriesPatch: [query]}});
    await probe.next('pokePart', part => JSON.stringify(part).includes('gotQueriesPatch'));
    return JSON.stringify(probe.received).includes('first');
  }, 'the permissions are in force');
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
});

test.each([30, 37, 50, 51])('v%i: connect, query, mutate, inspect, reconnect', async protocol => {
  const options = {server: daemon.url, protocol};
  using client = rawClient({...options, init: {clientSchema, desiredQueriesPatch: [query]}});
  await client.next('pokePart', part => JSON.stringify(part).includes('first'));
  client.crud(1, [{op: 'insert', tableName: 't', value: {id: `v${protocol}`}}]);
  await client.confirmed(1);
  await client.next('pokePart', part => JSON.stringify(part).includes(`v${protocol}`));
  client.send(['inspect', {op: 'queries', id: 'i'}]);
  const {value} = await client.next<{value: {metrics: object}[]}>('inspect');
  expect(Object.keys(value[0]!.metrics)).toEqual([
    protocol < 51 ? 'query-materialization-server' : 'query-hydration-server-ms',
    'query-update-server',
  ]);
  const ends = client.received.filter(([type]) => type === 'pokeEnd');
  const {cookie} = ends.at(-1)![1] as unknown as {cookie: string};
  client.socket.terminate();
  await db.query(`INSERT INTO t VALUES ('after v${protocol}')`);
  using again = rawClient({
    ...options,
    clientGroupID: client.clientGroupID,
    clientID: client.clientID,
    baseCookie: cookie,
    init: {desiredQueriesPatch: []},
  });
  const start = await again.next<{baseCookie: string}>('pokeStart');
  expect(start.baseCookie).toBe(cookie);
  await again.next('pokePart', part => JSON.stringify(part).includes(`after v${protocol}`));
  expect([...client.errors, ...again.errors]).toEqual([]);
});
