import {
  ANYONE_CAN_DO_ANYTHING,
  createBuilder,
  createSchema,
  definePermissions,
  number,
  string,
  table,
} from '@rocicorp/zero';
import {expect, test} from 'vitest';
import type {UpQueryOp} from '../../src/protocol/up.ts';
import {openReader} from '../../src/replica/open.ts';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {StoreClient} from '../helpers/store-client.ts';
import {until} from '../helpers/until.ts';

const note = table('note').columns({id: string(), text: string()}).primaryKey('id');
const item = table('item')
  .columns({id: string(), name: string(), size: number().optional()})
  .primaryKey('id');
const tag = table('tag').columns({id: string(), name: string()}).primaryKey('id');

const notes = createSchema({tables: [note], enableLegacyQueries: true});
const items = createSchema({tables: [item], enableLegacyQueries: true});
const notesAndTags = createSchema({tables: [note, tag], enableLegacyQueries: true});
const everything = createSchema({tables: [note, item, tag], enableLegacyQueries: true});

/** Counts the connections that the stock clients of this process open, per server. */
class CountedWebSocket extends (globalThis.WebSocket as typeof WebSocket) {
  static opened: string[] = [];
  constructor(...args: ConstructorParameters<typeof WebSocket>) {
    super(...args);
    CountedWebSocket.opened.push(String(args[0]));
  }
}
globalThis.WebSocket = CountedWebSocket;
const connections = (clientGroup: string) =>
  CountedWebSocket.opened.filter(url => url.includes(`clientGroupID=${clientGroup}`)).length;

test('clients of unaffected tables notice nothing of schema changes; others get what the change means to them', async () => {
  await using db = await createDatabase(`
    CREATE TABLE note (id text PRIMARY KEY, text text NOT NULL);
    CREATE TABLE item (id text PRIMARY KEY, name text NOT NULL, size int);
    INSERT INTO note VALUES ('n1', 'one'); INSERT INTO item VALUES ('i1', 'first', 5)`);
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  const compiled = await definePermissions(everything, () => ({
    note: ANYONE_CAN_DO_ANYTHING,
    item: ANYONE_CAN_DO_ANYTHING,
    tag: ANYONE_CAN_DO_ANYTHING,
  }));
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [JSON.stringify(compiled)]);

  await using unaffected = stockClient({schema: notes, server: daemon.url, storageKey: 'notes', userID: 'a'});
  await using affected = stockClient({schema: items, server: daemon.url, storageKey: 'items', userID: 'b'});
  const noteView = unaffected.zero.materialize(createBuilder(notes).note.orderBy('id', 'asc'));
  const itemView = affected.zero.materialize(createBuilder(items).item.orderBy('id', 'asc'));
  const shown = (view: {readonly data: unknown}) => JSON.parse(JSON.stringify(view.data)) as unknown[];
  await until(() => shown(noteView).length === 1 && shown(itemView).length === 1, 'both show their rows');
  let changes = 0;
  noteView.addListener(() => changes++);
  const before = changes;

  // More than clients know of is no concern of theirs.
  await db.query(
    `ALTER TABLE item ADD COLUMN colour text DEFAULT 'red'; INSERT INTO item VALUES ('i2', 'second', 6)`,
  );
  await until(() => shown(itemView).length === 2, 'the row after the new column');
  expect(shown(itemView)).toMatchObject([
    {id: 'i1', name: 'first', size: 5},
    {id: 'i2', name: 'second', size: 6},
  ]);
  expect(affected.complaints).toEqual([]);
  await db.query(
    `ALTER TABLE item RENAME COLUMN colour TO color; CREATE INDEX ON item (name); UPDATE item SET name = 'changed' WHERE id = 'i1'`,
  );
  await until(() => JSON.stringify(shown(itemView)).includes('changed'), 'the row after the rename');
  expect(connections(await affected.zero.clientGroupID)).toBe(1);

  // A table that is not there yet, and that comes with rows.
  await using early = stockClient({
    schema: notesAndTags,
    server: daemon.url,
    storageKey: 'early',
    userID: 'c',
  });
  early.zero.materialize(createBuilder(notesAndTags).tag);
  await until(() => early.complaints.length > 0, 'the early client is told');
  expect(early.complaints[0]).toMatch(/SchemaVersionNotSupported.*"tag" table does not exist/s);
  await db.query(
    `CREATE TABLE tag (id text PRIMARY KEY, name text NOT NULL); INSERT INTO tag VALUES ('t1', 'new')`,
  );
  const replicated = () => {
    const replica = openReader(daemon.replicaFile);
    try {
      return replica.prepare(`SELECT 1 FROM sqlite_master WHERE name = 'tag_pkey'`).get() !== undefined;
    } finally {
      replica.close();
    }
  };
  await until(replicated, 'the new table is in the replica');
  // Its row is a change in the stream, which wakes the worker.
  await db.query(`UPDATE note SET text = 'one and a half' WHERE id = 'n1'`);
  await until(() => JSON.stringify(shown(noteView)).includes('half'), 'the worker has come that far');
  await using late = stockClient({
    schema: notesAndTags,
    server: daemon.url,
    storageKey: 'late',
    userID: 'd',
  });
  const tags = late.zero.materialize(createBuilder(notesAndTags).tag);
  await until(() => shown(tags).length === 1 || late.complaints.length > 0, 'an answer');
  expect(shown(tags)).toMatchObject([{id: 't1', name: 'new'}]);

  // A column that the client uses goes.
  await db.query('ALTER TABLE item DROP COLUMN size');
  await until(() => affected.complaints.length > 0, 'the affected client is told');
  expect(affected.complaints[0]).toMatch(/SchemaVersionNotSupported.*"item"."size" column does not exist/s);

  // The one change of its own table.
  expect(changes - before).toBe(1);
  await db.query(`UPDATE note SET text = 'two' WHERE id = 'n1'`);
  await until(() => JSON.stringify(shown(noteView)).includes('two'), 'the unaffected client goes on');
  expect(connections(await unaffected.zero.clientGroupID)).toBe(1);
  expect(unaffected.complaints).toEqual([]);
}, 120_000);

/** Without a position of its own in the stream, it gets a version between two: `X.01`, which as a text comes before `X:01`. */
test('a change beside the stream reaches a client whose queries changed since the last transaction', async () => {
  await using db = await createDatabase(`
    CREATE TABLE note (id text PRIMARY KEY, text text NOT NULL, more text);
    INSERT INTO note VALUES ('n1', 'one', 'm'), ('n2', 'two', 'm')`);
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  await db.query(`DROP EVENT TRIGGER "${db.appID}_ddl_end_0"`);
  const compiled = await definePermissions(notes, () => ({note: ANYONE_CAN_DO_ANYTHING}));
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [JSON.stringify(compiled)]);
  const columns = {id: {type: 'string' as const}, text: {type: 'string' as const}};
  const put = (hash: string): UpQueryOp => ({
    op: 'put',
    hash,
    ast: {table: 'note', orderBy: [['id', 'asc']], limit: 10 + Number(hash)},
  });
  await using raw = await StoreClient.open({
    url: daemon.url,
    schema: {tables: {note: {columns, primaryKey: ['id']}}},
    init: {desiredQueriesPatch: [put('0')]},
  });
  await using stock = stockClient({schema: notes, server: daemon.url, storageKey: 'beside', userID: 'a'});
  const builder = createBuilder(notes).note;
  const view = stock.zero.materialize(builder.orderBy('id', 'asc'));
  const shown = () => JSON.stringify(view.data);
  await until(() => shown().includes('n2'), 'the rows are there');
  // Each of them makes one more version at the same state of the data.
  for (const hash of ['1', '2', '3']) {
    raw.send('changeDesiredQueries', {desiredQueriesPatch: [put(hash)]});
    await raw.until(() => raw.store.got.has(hash), `query ${hash} is got`);
    const other = stock.zero.materialize(builder.limit(10 + Number(hash)));
    let complete = false;
    other.addListener((_, type) => {
      complete ||= type === 'complete';
    });
    await until(() => complete, `query ${hash} of the stock client is answered`);
  }
  expect(raw.store.cookie).toMatch(/:/);
  await db.query('ALTER TABLE note DROP COLUMN more');
  await raw.until(() => raw.store.table('note').every(row => !('more' in row)), 'the column goes');
  expect(raw.violations).toEqual([]);
  await db.query(`UPDATE note SET text = 'three' WHERE id = 'n1'`);
  await until(() => shown().includes('three'), 'the next change');
  expect(stock.zero.connection.state.current.name).toBe('connected');
  expect(stock.complaints).toEqual([]);
});
