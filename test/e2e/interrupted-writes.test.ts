import {createSchema, number, string, table} from '@rocicorp/zero';
import {expect, test} from 'vitest';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';

const schema = createSchema({
  tables: [table('t').columns({id: string(), n: number()}).primaryKey('id')],
  enableLegacyMutators: true,
  enableLegacyQueries: true,
});
const ANYONE = [['allow', {type: 'and', conditions: []}]];
const TOTAL = 60;

test('while the connections for writes are cut again and again, every mutation is done once and in order', async () => {
  await using db = await createDatabase(`
    CREATE TABLE t (id text PRIMARY KEY, n int);
    CREATE TABLE log (seq bigserial, id text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO log (id) VALUES (NEW.id); PERFORM pg_sleep(0.005); RETURN NEW; END $$;
    CREATE TRIGGER noted AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();
    INSERT INTO t VALUES ('tick', 0)`);
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [
    JSON.stringify({tables: {t: {row: {select: ANYONE, insert: ANYONE}}}}),
  ]);
  await using client = stockClient({
    schema,
    server: daemon.url,
    storageKey: db.name,
    logLevel: 'silent' as never,
  });
  const view = client.zero.materialize(client.zero.query['t']);
  await until(() => (view.data as unknown[]).length === 1, 'the permissions are in force');
  const done = async () => (await db.query(`SELECT count(*)::int AS n FROM log`)).rows[0].n as number;
  const before = await done();
  for (let i = 0; i < TOTAL; i++) {
    void client.zero.mutate.t.insert({id: `w${String(i).padStart(3, '0')}`, n: i});
    if (i % 12 !== 5) continue;
    await until(async () => (await done()) > before + Math.floor(i / 2), 'some are done', 30_000);
    await db.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%mutations%'`,
    );
  }
  await until(async () => (await done()) === before + TOTAL, 'all are done', 50_000);
  const {rows} = await db.query(`SELECT id FROM log WHERE id LIKE 'w%' ORDER BY seq`);
  expect(rows.map(({id}) => id)).toEqual(
    Array.from({length: TOTAL}, (_, i) => `w${String(i).padStart(3, '0')}`),
  );
  await until(() => (view.data as unknown[]).length === TOTAL + 1, 'the client has them all');
  expect(client.complaints).toEqual([]);
}, 120_000);
