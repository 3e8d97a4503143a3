import {readdirSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {rawClient} from '../helpers/raw-client.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';
import {deployAnyone} from './permissions.ts';
import {ddl, schema, zql} from './schema.ts';

/** The client's inspector and the admin's pages (views.md §8). */
const PASSWORD = 'open sesame';
let db: TestDatabase;
let daemon: Daemon;

beforeAll(async () => {
  db = await createDatabase(ddl);
  await db.query(`INSERT INTO label SELECT 'l' || i, 'name ' || i FROM generate_series(1, 30) i`);
  daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {NODE_ENV: 'production', ZERO_ADMIN_PASSWORD: PASSWORD, ZERO_SERVER_VERSION: '7.7.7'},
  });
  await deployAnyone(db, db.appID);
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
});

interface Digest {
  count(): number;
  quantile(q: number): number;
}

test('the stock inspector shows queries, their times, and the version, after the password was given', async () => {
  await using client = stockClient({schema, server: daemon.url, storageKey: db.name, userID: 'u'});
  const view = client.zero.materialize(zql.label.limit(10));
  await until(() => (view.data as unknown[]).length === 10, 'labels arrive');
  const {inspector} = client.zero;
  expect(await inspector.authenticate('wrong')).toBe(false);
  expect(await inspector.authenticate(PASSWORD)).toBe(true);
  expect(await inspector.serverVersion()).toBe('7.7.7');
  await db.query(`UPDATE label SET name = 'renamed' WHERE id = 'l1'`);
  await until(() => JSON.stringify(view.data).includes('renamed'), 'the change arrives');
  const [query, ...others] = await inspector.client.queries();
  expect(others).toEqual([]);
  expect(query).toMatchObject({got: true, deleted: false, rowCount: 10, name: null});
  const own = query!.metrics as unknown as Record<string, Digest & number>;
  expect(own['query-hydration-server-ms'] ?? own['query-materialization-server']).toBeTruthy();
  const metrics = (await inspector.metrics()) as unknown as Record<string, Digest>;
  expect(metrics['query-materialization-server']!.count()).toBe(1);
  expect(metrics['query-update-server']!.count()).toBe(1);
  expect(metrics['query-update-server']!.quantile(0.5)).toBeGreaterThan(0);
  const analysis = await inspector.analyzeQuery(zql.label.where('name', 'LIKE', 'name 1%').limit(5) as never);
  expect(analysis).toMatchObject({syncedRowCount: 5, readRowCount: expect.any(Number) as number});
  expect(analysis.syncedRows?.['label']).toHaveLength(5);
  expect(analysis.elapsed).toBeGreaterThan(0);
  // Rules that let everybody through leave nothing behind.
  expect(analysis.afterPermissions).toBe("label.where('name', 'LIKE', 'name 1%').limit(5)");
  const [sql] = Object.keys(analysis.readRowCountsByQuery!['label']!);
  expect(analysis.sqlitePlans![sql!]!.length).toBeGreaterThan(0);
  expect(analysis.dbScansByQuery!['label']![sql!]).toBeGreaterThanOrEqual(5);
  expect(client.complaints).toEqual([]);
});

test('without the password nothing is told, and it lets in one group alone', async () => {
  using client = rawClient({server: daemon.url});
  using other = rawClient({server: daemon.url});
  await client.next('pokeEnd');
  await other.next('pokeEnd');
  const ask = (op: string, id: string, more: object = {}) => client.send(['inspect', {op, id, ...more}]);
  const answer = (id: string) =>
    client.next<{op: string; value: unknown}>('inspect', body => (body as {id?: string}).id === id);
  for (const op of ['queries', 'metrics', 'version', 'analyze-query']) {
    ask(op, op);
    expect(await answer(op)).toEqual({op: 'authenticated', id: op, value: false});
  }
  ask('authenticate', 'a', {value: PASSWORD});
  expect(await answer('a')).toMatchObject({op: 'authenticated', value: true});
  ask('queries', 'b');
  expect(await answer('b')).toMatchObject({op: 'queries', value: []});
  ask('analyze-query', 'c', {ast: {table: 'nowhere'}});
  expect(await answer('c')).toMatchObject({op: 'error', value: expect.stringContaining('nowhere') as string});
  ask('analyze-query', 'd', {name: 'some.query', args: []});
  expect(await answer('d')).toMatchObject({
    op: 'error',
    value: expect.stringContaining('ZERO_QUERY_URL') as string,
  });
  other.send(['inspect', {op: 'version', id: 'v'}]);
  expect(await other.next('inspect')).toMatchObject({op: 'authenticated', value: false});
});

test('where no permissions are deployed a query is analysed as it stands, and shown to clients without a row', async () => {
  using client = rawClient({server: daemon.url});
  await client.next('pokeEnd');
  client.send(['inspect', {op: 'authenticate', id: 'a', value: PASSWORD}]);
  let asked = 0;
  const analysis = async () => {
    const id = `q${asked++}`;
    client.send(['inspect', {op: 'analyze-query', id, ast: {table: 'label'}}]);
    const {value} = await client.next<{
      id: string;
      value: {syncedRowCount: number; afterPermissions?: string};
    }>('inspect', body => body.id === id);
    return value;
  };
  const deploy = (rules: object | null) =>
    db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [rules && JSON.stringify(rules)]);
  await deploy({tables: {label: {row: {select: []}}}});
  await until(async () => (await analysis()).syncedRowCount === 0, 'nobody may see labels');
  expect((await analysis()).afterPermissions).toBe(
    'label.where(({and, or, not, cmp, cmpLit, exists}) => or())',
  );
  await deploy(null);
  await until(async () => (await analysis()).syncedRowCount === 30, 'there are no rules');
  expect(await analysis()).not.toHaveProperty('afterPermissions');
  await using stock = stockClient({schema, server: daemon.url, storageKey: `${db.name}none`, userID: 'u'});
  const view = stock.zero.materialize(zql.label.limit(10));
  let complete = false;
  view.addListener((_, type) => {
    complete ||= type === 'complete';
  });
  await until(() => complete, 'the query is answered');
  expect(view.data).toEqual([]);
  await deployAnyone(db, db.appID);
  await until(() => (view.data as unknown[]).length === 10, 'labels come with the rules');
});

const get = (path: string, password?: string) =>
  fetch(`${daemon.url}${path}`, {
    headers: password === undefined ? {} : {Authorization: `Basic ${btoa(`anyone:${password}`)}`},
  });

test('the admin pages want the password and say what they count', async () => {
  for (const path of ['/statz', '/heapz', '/pipelines']) {
    for (const password of [undefined, '', 'wrong']) {
      const refused = await get(path, password);
      expect(refused.status).toBe(401);
      expect(refused.headers.get('www-authenticate')).toMatch(/^Basic realm=/);
      await refused.arrayBuffer();
    }
  }
  using client = rawClient({server: daemon.url});
  client.crud(1, [{op: 'insert', tableName: 'label', value: {id: 'new', name: 'new'}}]);
  await client.confirmed(1);
  const statz = await (await get('/statz?format=json', PASSWORD)).json();
  expect(statz).toMatchObject({
    upstream: {numReplicas: 1, numMutationsProcessed: 1},
    cvr: {totalNumQueries: expect.any(Number) as number, numInactiveQueries: expect.any(Number) as number},
    changeLog: {changeLogSize: expect.any(Number) as number},
    replica: {page_size: expect.any(Number) as number, fileBytes: expect.any(Number) as number},
    replication: {state: 'streaming'},
    os: {processors: expect.any(Number) as number},
  });
  expect(JSON.stringify(statz)).not.toContain('"error"');
  expect(statz.cvr.totalNumQueries).toBeGreaterThan(0);
  const text = await (await get('/statz?group=os,replica', PASSWORD)).text();
  expect(text).toMatch(/^=== replica ===\nfile: /);
  expect(text).toContain('=== os ===');
  expect(text).not.toContain('=== cvr ===');
  expect((await get('/statz?group=nothing', PASSWORD)).status).toBe(400);
  const heap = await get('/heapz', PASSWORD);
  expect(heap.headers.get('content-disposition')).toContain('attachment');
  expect(await heap.text()).toMatch(/^\{"snapshot"/);
  // It holds secrets, so it is never in a file that others may read, or that stays when the download breaks.
  const broken = await get('/heapz', PASSWORD);
  expect(readdirSync(tmpdir()).filter(name => name.startsWith(`zerostream-${daemon.process.pid}-`))).toEqual(
    [],
  );
  await broken.body!.cancel();
});

test('health and metrics are open to all', async () => {
  expect(await (await get('/')).text()).toBe('OK');
  expect(await (await get('/keepalive')).text()).toBe('OK');
  const metrics = await (await get('/metrics')).text();
  expect(metrics).toMatch(/^zero_sync_active_client_groups \d+$/m);
});
