import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {
  ANYONE_CAN_DO_ANYTHING,
  createBuilder,
  createSchema,
  definePermissions,
  string,
  table,
} from '@rocicorp/zero';
import {expect, test} from 'vitest';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {readmeBlocks} from '../helpers/readme.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';

const note = table('note').columns({id: string(), text: string()}).primaryKey('id');
const schema = createSchema({tables: [note], enableLegacyQueries: true, enableLegacyMutators: true});
const wide = createSchema({
  tables: [
    table('note').columns({id: string(), text: string(), mood: string(), place: string()}).primaryKey('id'),
    table('tag').columns({id: string()}).primaryKey('id'),
  ],
  enableLegacyQueries: true,
});

/** The statements of the README, for a role and a database of this test. */
const granted = async (db: TestDatabase) => {
  const role = `granted_${db.name}`;
  const [grants, trigger] = readmeBlocks('Grants', 'sql').map(block =>
    block
      .replaceAll(/\bzerostream\b/g, role)
      .replaceAll(/\bapp\b/g, db.name)
      .replaceAll(/\bzero_(?=ddl_end_0\b)/g, `${db.appID}_`)
      .replaceAll(/\bzero_0\b/g, `${db.appID}_0`),
  );
  const url = new URL(db.url);
  url.username = role;
  url.password = 'choose one';
  return {
    role,
    url: url.href,
    grants: grants!,
    trigger: trigger!,
    [Symbol.asyncDispose]: async () => {
      await db.query(`DROP EVENT TRIGGER IF EXISTS "${db.appID}_ddl_end_0"`);
      await db.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`);
    },
  };
};

const announced = async (db: TestDatabase) =>
  (await db.query(`SELECT "ddlDetection" FROM "${db.appID}_0"."shardConfig"`)).rows;

test("with exactly the README's grants: copying, streaming, mutations and schema changes, without and with its event trigger", async () => {
  await using db = await createDatabase(`
    CREATE TABLE note (id text PRIMARY KEY, text text NOT NULL); INSERT INTO note VALUES ('n1', 'copied')`);
  await using role = await granted(db);
  await db.query(role.grants);
  expect(
    (
      await db.query(
        'SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = $1',
        [role.role],
      )
    ).rows,
  ).toEqual([{rolsuper: false, rolcreatedb: false, rolcreaterole: false, rolbypassrls: false}]);
  const dir = await mkdtemp(join(tmpdir(), 'zs-grants-'));
  const start = () =>
    startDaemon({upstream: role.url, appID: db.appID, dir, env: {ZERO_APP_PUBLICATIONS: 'zero_tables'}});
  try {
    {
      await using daemon = await start();
      const permissions = await definePermissions(schema, () => ({note: ANYONE_CAN_DO_ANYTHING}));
      await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [JSON.stringify(permissions)]);
      expect(await announced(db)).toEqual([{ddlDetection: false}]);
      await streamsAndMutates(db, daemon);
      await db.query(
        `ALTER TABLE note ADD COLUMN mood text NOT NULL DEFAULT 'fine'; CREATE TABLE tag (id text PRIMARY KEY);
         INSERT INTO tag VALUES ('t1'); ALTER TABLE note ADD COLUMN place text NOT NULL DEFAULT 'here'`,
      );
      await shows(db, daemon, ['fine here'], ['t1']);
    }
    await db.query(role.trigger);
    await using daemon = await start();
    expect(await announced(db)).toEqual([{ddlDetection: true}]);
    await db.query(
      `ALTER TABLE note RENAME COLUMN mood TO old_mood; ALTER TABLE note ADD COLUMN mood text NOT NULL DEFAULT 'better'`,
    );
    await db.query(`INSERT INTO tag VALUES ('t2')`);
    await shows(db, daemon, ['better here'], ['t1', 't2']);
    expect(daemon.output()).not.toContain('is rebuilt');
  } finally {
    await rm(dir, {recursive: true, force: true});
  }
}, 120_000);

const streamsAndMutates = async (db: TestDatabase, daemon: Daemon) => {
  await using client = stockClient({schema, server: daemon.url, storageKey: db.name});
  const view = client.zero.materialize(createBuilder(schema).note.orderBy('id', 'asc'));
  const texts = () => (view.data as readonly {text: string}[]).map(({text}) => text).join();
  await until(() => texts() === 'copied', 'the copied row');
  await db.query(`INSERT INTO note VALUES ('n2', 'streamed')`);
  await until(() => texts() === 'copied,streamed', 'the streamed row');
  await client.zero.mutate.note!.insert({id: 'n3', text: 'mutated'});
  await client.zero.mutate.note!.update({id: 'n1', text: 'changed'});
  await client.zero.mutate.note!.delete({id: 'n2'});
  await until(
    async () =>
      JSON.stringify((await db.query('SELECT * FROM note ORDER BY id')).rows) ===
      JSON.stringify([
        {id: 'n1', text: 'changed'},
        {id: 'n3', text: 'mutated'},
      ]),
    'the mutations upstream',
  );
  await until(() => texts() === 'changed,mutated', 'the answer');
  expect(client.complaints).toEqual([]);
};

/** A client of the new schema sees the new columns and the table that did not exist when the grants were given. */
const shows = async (db: TestDatabase, daemon: Daemon, notes: string[], tags: string[]) => {
  const everyone = await definePermissions(wide, () => ({
    note: ANYONE_CAN_DO_ANYTHING,
    tag: ANYONE_CAN_DO_ANYTHING,
  }));
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [JSON.stringify(everyone)]);
  await until(async () => {
    await using client = stockClient({
      schema: wide,
      server: daemon.url,
      storageKey: `${db.name}-${notes}`,
      logSink: {log: () => {}},
    });
    const noteView = client.zero.materialize(createBuilder(wide).note.orderBy('id', 'asc'));
    const tagView = client.zero.materialize(createBuilder(wide).tag.orderBy('id', 'asc'));
    const shown = () => {
      const found = (noteView.data as readonly {mood: string; place: string}[]).map(
        n => `${n.mood} ${n.place}`,
      );
      return JSON.stringify([
        [...new Set(found)],
        (tagView.data as readonly {id: string}[]).map(({id}) => id),
      ]);
    };
    // A client that is told of an older schema gives up: the next one asks again.
    const deadline = Date.now() + 5000;
    while (Date.now() < deadline && !client.complaints.length) {
      if (shown() === JSON.stringify([notes, tags])) return true;
      await new Promise(resolve => setTimeout(resolve, 20));
    }
    return false;
  }, 'the new columns and table');
};
