import {afterAll, beforeAll, expect, test} from 'vitest';
import {where} from '../helpers/ast.ts';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {rawClient} from '../helpers/raw-client.ts';

/** Known fault 6 of the original: one integer beyond 2^53 ended every group that queried its table. */
let db: TestDatabase;
let daemon: Daemon;
const ANYONE = [['allow', {type: 'and', conditions: []}]];

beforeAll(async () => {
  db = await createDatabase(`
    CREATE TABLE big (id text PRIMARY KEY, kind text NOT NULL, n bigint);
    INSERT INTO big VALUES ('a', 'small', 1), ('b', 'small', -9007199254740991), ('c', 'large', 9007199254740993)`);
  daemon = await startDaemon({upstream: db.url, appID: db.appID});
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [
    JSON.stringify({tables: {big: {row: {select: ANYONE}}}}),
  ]);
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
});

const put = (hash: string, kind?: string) => ({
  op: 'put',
  hash,
  ast: {
    table: 'big',
    orderBy: [['id', 'asc']],
    ...(kind && {where: where('kind', '=', kind)}),
  },
});
interface Part {
  readonly gotQueriesPatch?: readonly {readonly op: string; readonly hash: string}[];
  readonly rowsPatch?: readonly unknown[];
}

test('only queries that return such a row fail, with the names of table and column; they come back when it is gone', async () => {
  using client = rawClient({
    server: daemon.url,
    init: {
      clientSchema: {
        tables: {
          big: {
            columns: {id: {type: 'string'}, kind: {type: 'string'}, n: {type: 'number'}},
            primaryKey: ['id'],
          },
        },
      },
      desiredQueriesPatch: [put('all'), put('small', 'small')],
    },
  });
  const got = (hash: string) =>
    client.next<Part>('pokePart', part =>
      Boolean(part.gotQueriesPatch?.some(op => op.op === 'put' && op.hash === hash)),
    );
  const failed = (hash: string) =>
    client.next<{id: string; message: string}[]>('transformError', errors =>
      errors.some(({id}) => id === hash),
    );
  await got('small');
  const [error] = await failed('all');
  expect(error!.message).toContain('big');
  expect(error!.message).toContain('n');
  expect(error!.message).not.toContain('9007199254740993');
  await db.query(`UPDATE big SET n = 3 WHERE id IN ('b', 'c')`);
  await client.next<Part>('pokePart', part => JSON.stringify(part).includes('"n":3'));
  client.send(['changeDesiredQueries', {desiredQueriesPatch: [put('again')]}]);
  await got('again');
  // A change that makes a row such a one, and one beside it.
  await db.query(`UPDATE big SET n = 9007199254740993 WHERE id = 'c'`);
  await failed('again');
  await db.query(`UPDATE big SET n = 2 WHERE id = 'a'`);
  await client.next<Part>('pokePart', part => JSON.stringify(part).includes('"n":2'));
  expect(client.errors).toEqual([]);
  expect(client.closed).toBeNull();
});
