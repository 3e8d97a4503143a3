import {expect, test} from 'vitest';
import {faultsOf, pastFaultsOf} from '../../src/observe/inspection.ts';
import {renderText} from '../../src/observe/render-text.ts';
import {type Daemon, inspectionOf, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {rawClient} from '../helpers/raw-client.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';
import {deployAnyone} from './permissions.ts';
import {ddl, schema, zql} from './schema.ts';

/** A rule of a kind that a later release might have. */
const UNREADABLE = {tables: {tick: {row: {select: [['allow', {type: 'sometimes'}]]}}}};
const deploy = (db: TestDatabase, permissions: unknown) =>
  db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [JSON.stringify(permissions)]);
const standing = async (daemon: Daemon) =>
  faultsOf(await inspectionOf(daemon)).filter(({code}) => code === 'M001');
const tick = {
  clientSchema: {
    tables: {tick: {columns: {id: {type: 'string'}, n: {type: 'number'}}, primaryKey: ['id']}},
  },
  desiredQueriesPatch: [{op: 'put', hash: 'q', ast: {table: 'tick', orderBy: [['id', 'asc']]}}],
};

test('permissions that cannot be read are told everywhere, take nothing from clients, and are over when good ones come', async () => {
  await using db = await createDatabase(ddl);
  await using daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {ZERO_NUM_SYNC_WORKERS: '2'},
  });
  await deployAnyone(db, db.appID);
  await using stock = stockClient({schema, server: daemon.url});
  const view = stock.zero.materialize(zql.tick);
  const shown = () => (view.data as readonly {readonly n: number}[]).map(({n}) => n);
  await until(() => shown().length === 1, 'the row is there');
  const states = new Set<string>();
  stock.zero.connection.state.subscribe(({name}) => states.add(name));

  await deploy(db, UNREADABLE);
  await until(async () => (await standing(daemon)).length > 0, 'the fault is shown');
  const inspection = await inspectionOf(daemon);
  expect(await standing(daemon)).toMatchObject([
    {
      severity: 'fault',
      what: expect.stringContaining('(at tables.tick.row.select.0.1') as string,
      remedy: expect.stringContaining('zero-deploy-permissions') as string,
    },
  ]);
  expect(renderText(inspection, null, {sql: false})).toMatch(/FAULTS\n {2}✖ M001 .*\n {4}→ Deploy/);
  expect(await (await fetch(`${daemon.url}/metrics`)).text()).toMatch(
    /zero_replication_faults\{[^}]*code="M001"[^}]*\} 1/,
  );
  await until(() => stock.zero.connection.state.current.name !== 'connected', 'the client is told');

  // Whoever comes now is told so, and by neither way anything is read or written.
  const refusal = {
    kind: 'ServerOverloaded',
    minBackoffMs: 5000,
    message: expect.stringMatching(/M001\): deploy them again/) as string,
  };
  using reader = rawClient({server: daemon.url, init: tick});
  await reader.ended();
  expect(reader.errors).toMatchObject([refusal]);
  using writer = rawClient({server: daemon.url});
  writer.crud(1, [{op: 'update', tableName: 'tick', value: {id: 'tick', n: 5}}]);
  await writer.ended();
  expect(writer.errors).toMatchObject([refusal]);

  // Nor is what the app wrote meanwhile lost.
  await stock.zero.mutate.tick.update({id: 'tick', n: 7});
  expect(shown()).toEqual([7]);
  expect((await db.query('SELECT n FROM tick')).rows).toEqual([{n: 0}]);

  await deployAnyone(db, db.appID);
  await until(async () => (await db.query('SELECT n FROM tick')).rows[0].n === 7, 'the write has arrived');
  await until(() => stock.zero.connection.state.current.name === 'connected', 'the client is connected');
  await db.query('UPDATE tick SET n = 8');
  await until(() => shown()[0] === 8, 'the client is served');
  expect([...states]).not.toContain('error');
  expect(stock.complaints).toEqual([]);
  expect(await standing(daemon)).toEqual([]);
  expect(pastFaultsOf(await inspectionOf(daemon))).toMatchObject([{code: 'M001'}]);
  const told = daemon
    .output()
    .split('\n')
    .filter(line => /M001|permissions can be read again/.test(line));
  expect(told).toMatchObject([
    expect.stringMatching(/ ERROR .*code=M001 .*tables\.tick\.row\.select\.0\.1.*deploy them again/),
    expect.stringMatching(/ INFO .*the deployed permissions can be read again/),
  ]);
  expect(daemon.output()).not.toContain('sometimes');
});

test('they are also told by a server that starts with them', async () => {
  await using db = await createDatabase(ddl);
  await (await startDaemon({upstream: db.url, appID: db.appID})).stop();
  await deploy(db, {tables: 'all'});
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  await until(async () => (await standing(daemon)).length > 0, 'the fault is shown');
  expect(daemon.output()).toMatch(/code=M001 The deployed permissions are not in a form .*\(at tables\)/);
});
