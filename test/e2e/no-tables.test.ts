import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createBuilder, createSchema, string, table} from '@rocicorp/zero';
import {expect, test} from 'vitest';
import {faultsOf} from '../../src/observe/inspection.ts';
import {type Daemon, inspectionOf, startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';
import {anyone} from './permissions.ts';

const schema = createSchema({
  tables: [table('note').columns({id: string(), text: string()}).primaryKey('id')],
  enableLegacyQueries: true,
});
const zql = createBuilder(schema);

const limits = async (daemon: Daemon) =>
  faultsOf(await inspectionOf(daemon)).map(({code, severity, what}) => `${code} ${severity}: ${what}`);
const said = (daemon: Daemon, words: string) =>
  daemon
    .output()
    .split('\n')
    .filter(line => line.includes(' WARN ') && line.includes(words));
const PUBLISHED = 'no table is published, so there is nothing that clients could query';
const R014 =
  /R014 warning: No table is published, .* Create tables in the schema public, .*ALTER PUBLICATION/;

test.each([
  ['without tables', '', {}, '', 'DROP TABLE note'],
  [
    'whose publication is empty',
    'CREATE PUBLICATION app; CREATE TABLE other (id int PRIMARY KEY)',
    {ZERO_APP_PUBLICATIONS: 'app'},
    'ALTER PUBLICATION app ADD TABLE note',
    'ALTER PUBLICATION app DROP TABLE note',
  ],
])(
  'a database %s is told at each start and in the inspector, and serves tables as they appear',
  async (_, ddl, env, publish, withdraw) => {
    await using db = await createDatabase(ddl);
    const dir = await mkdtemp(join(tmpdir(), 'zerostream-no-tables-'));
    const start = () => startDaemon({upstream: db.url, appID: db.appID, env, dir});
    try {
      await using daemon = await start();
      await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [
        JSON.stringify({tables: {note: {row: anyone}}}),
      ]);
      await until(async () => (await limits(daemon)).some(line => R014.test(line)), 'it is shown');
      await using stock = stockClient({schema, server: daemon.url, userID: db.name});
      const states = new Set<string>();
      stock.zero.connection.state.subscribe(({name, ...state}) =>
        states.add(`${name} ${'reason' in state ? JSON.stringify(state.reason) : ''}`),
      );
      const view = stock.zero.materialize(zql.note);
      await until(() => [...states].some(state => state.includes('R014')), 'the client is told why it waits');

      await db.query(`CREATE TABLE note (id text PRIMARY KEY, text text NOT NULL); ${publish}`);
      await db.query(`INSERT INTO note VALUES ('n1', 'first')`);
      await until(() => (view.data as readonly unknown[]).length === 1, 'the client is served');
      expect([...states].filter(state => state.startsWith('error'))).toEqual([]);
      expect(stock.complaints).toEqual([]);
      await until(async () => (await limits(daemon)).length === 0, 'it is over');
      expect(said(daemon, PUBLISHED)).toHaveLength(1);

      await db.query(withdraw);
      await until(async () => (await limits(daemon)).some(line => R014.test(line)), 'it is shown again');
      await daemon.stop();
      await using again = await start();
      await until(() => said(again, PUBLISHED).length > 0, 'it is told at a start that finds a replica');
      await until(async () => (await limits(again)).length > 0, 'it is shown by the next one');
      expect(said(again, PUBLISHED)).toHaveLength(1);
    } finally {
      await rm(dir, {recursive: true, force: true});
    }
  },
  120_000,
);

test('where none of the published tables can be replicated it is said so, with the reason of each', async () => {
  await using db = await createDatabase('CREATE TABLE "a/\\b" (id int PRIMARY KEY)');
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  await until(async () => (await limits(daemon)).length > 0, 'it is shown');
  expect(await limits(daemon)).toEqual([
    expect.stringMatching(/^R014 warning: No table is replicated, .* What would help is said of each/),
    expect.stringMatching(
      /^R014 warning: Table "public"."a\/\\b" is not replicated: its name has .*rename it/,
    ),
  ]);
  expect(said(daemon, 'no table is replicated, so there is nothing')).toHaveLength(1);
});
