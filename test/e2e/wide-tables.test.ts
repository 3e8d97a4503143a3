import {afterAll, beforeAll, expect, test} from 'vitest';
import {openReader} from '../../src/replica/open.ts';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {rawClient} from '../helpers/raw-client.ts';
import {until} from '../helpers/until.ts';

/** PostgreSQL allows 1,600 columns; SQLite takes 1,000 arguments, 32,766 parameters and 2,000 columns. */
const COLUMNS = [499, 500, 501, 1599];
/** Copied over one connection. */
const TABLES = 40;
const ANYONE = [['allow', {type: 'and', conditions: []}]];

let db: TestDatabase;
let daemon: Daemon;
beforeAll(async () => {
  const wide = COLUMNS.map(
    n => `CREATE TABLE wide_${n} (id int PRIMARY KEY, ${columns(n)
      .map(c => `${c} ${typeOf(c)}`)
      .join(', ')});
      INSERT INTO wide_${n} (id, c1, c${n - 2}) VALUES (1, 'first', 7), (2, 'se"cond}', NULL);`,
  );
  const many = Array.from(
    {length: TABLES},
    (_, i) => `CREATE TABLE many_${i} (id int PRIMARY KEY); INSERT INTO many_${i} VALUES (${i});`,
  );
  db = await createDatabase([...wide, ...many].join('\n'));
  daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {ZERO_INITIAL_SYNC_TABLE_COPY_WORKERS: '1'},
  });
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [
    JSON.stringify({
      tables: Object.fromEntries(COLUMNS.map(n => [`wide_${n}`, {row: {select: ANYONE}}])),
    }),
  ]);
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
});

/** `n` in all with the key. */
const columns = (n: number): string[] => Array.from({length: n - 1}, (_, i) => `c${i}`);
const typeOf = (column: string): string => (column === 'c1' ? 'text' : 'int');

interface Part {
  readonly rowsPatch?: readonly {readonly op: string; readonly value?: Readonly<Record<string, unknown>>}[];
}

test.each(COLUMNS)('a table of %i columns is copied, streamed and queried whole', async n => {
  // Too much for a header.
  using client = rawClient({server: daemon.url, init: null});
  const types = ['id', ...columns(n)].map(c => [c, {type: typeOf(c) === 'text' ? 'string' : 'number'}]);
  client.send([
    'initConnection',
    {
      clientSchema: {tables: {[`wide_${n}`]: {columns: Object.fromEntries(types), primaryKey: ['id']}}},
      desiredQueriesPatch: [{op: 'put', hash: 'all', ast: {table: `wide_${n}`, orderBy: [['id', 'asc']]}}],
    },
  ]);
  const row = async (wanted: (value: Readonly<Record<string, unknown>>) => boolean) => {
    const has = (part: Part) => part.rowsPatch?.find(({value}) => value && wanted(value));
    return has(await client.next<Part>('pokePart', part => Boolean(has(part))))!.value!;
  };
  const empty = Object.fromEntries(columns(n).map(c => [c, null]));
  const last = `c${n - 2}`;
  expect(await row(({id}) => id === 1)).toEqual({...empty, id: 1, c1: 'first', [last]: 7});
  expect(await row(({id}) => id === 2)).toEqual({...empty, id: 2, c1: 'se"cond}'});
  await db.query(`UPDATE wide_${n} SET ${last} = 8 WHERE id = 1; INSERT INTO wide_${n} (id) VALUES (3)`);
  expect(await row(value => value[last] === 8)).toEqual({...empty, id: 1, c1: 'first', [last]: 8});
  expect(await row(({id}) => id === 3)).toEqual({...empty, id: 3});
  expect(client.errors).toEqual([]);
});

test('rows of a wide table are also read beside the stream', async () => {
  await db.query(
    `CREATE TABLE late (id int PRIMARY KEY, ${columns(1200)
      .map(c => `${c} int`)
      .join(', ')})`,
  );
  await db.query(`INSERT INTO late (id) SELECT i FROM generate_series(1, 60) i`);
  await db.query(`ALTER TABLE late ALTER c1 TYPE text USING 'x' || id`);
  const count = () => {
    const replica = openReader(daemon.replicaFile);
    try {
      return replica.prepare(`SELECT count(*) FROM late WHERE c1 = 'x' || id`).pluck().get();
    } catch {
      return null;
    } finally {
      replica.close();
    }
  };
  await until(() => count() === 60, 'the table is rewritten');
});

test('Node has nothing to warn of when one connection copies many tables one after the other', () => {
  expect(daemon.output()).not.toMatch(/warning/i);
});
