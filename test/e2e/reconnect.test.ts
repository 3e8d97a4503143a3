import {zeroNodePg} from '@rocicorp/zero/server/adapters/pg';
import pg from 'pg';
import {afterAll, beforeAll, expect, test} from 'vitest';
import type {DaemonInspection} from '../../src/observe/inspection.ts';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {type PostgresServer, startPostgres} from '../helpers/postgres-server.ts';
import {Random} from '../helpers/random.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';
import {difference, plain} from './compare.ts';
import {deployAnyone} from './permissions.ts';
import {initialRows, randomTransaction} from './random-data.ts';
import {ddl, schema, zql} from './schema.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

const cutAll = async (db: TestDatabase): Promise<number> => {
  const admin = new pg.Client(server.url);
  await admin.connect();
  const {rowCount} = await admin.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'zerostream-%'`,
    [db.name],
  );
  await admin.end();
  return rowCount ?? 0;
};

test('the server outlives the end of all its connections and a restart of PostgreSQL, and clients converge', async () => {
  const random = new Random(7);
  await using db = await createDatabase(ddl, server.url);
  await db.query(initialRows(random).join('; '));
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  await deployAnyone(db, db.appID);
  await using client = stockClient({schema, server: daemon.url, storageKey: db.name, userID: 'u1'});
  const query = zql.issue.orderBy('rank', 'desc').limit(20);
  const view = client.zero.materialize(query as never) as {data: unknown};
  const oracle = zeroNodePg(schema, db.pool);
  const converges = async (after: string) => {
    const wanted = plain(await oracle.run(query as never));
    await until(() => difference(plain(view.data), wanted) === null, `the client converges ${after}`);
  };
  const write = async () => {
    for (let n = 0; n < 5; n++) await db.query(`BEGIN; ${randomTransaction(random).join('; ')}; COMMIT`);
  };
  await converges('at first');

  for (let round = 1; round <= 3; round++) {
    expect(await cutAll(db)).toBeGreaterThan(1);
    await write();
    await converges(`after cut ${round}`);
  }
  await server.server.stop();
  await server.server.start();
  await until(
    () =>
      db.query('SELECT 1').then(
        () => true,
        () => false,
      ),
    'PostgreSQL is back',
  );
  await write();
  await converges('after the restart');

  const inspection = (await (await fetch(`${daemon.url}/pipelines`)).json()) as DaemonInspection;
  expect(inspection.replicator?.recoveries).toEqual([]);
  expect(client.complaints).toEqual([]);
}, 150_000);
