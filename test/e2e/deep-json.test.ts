import {expect, test} from 'vitest';
import {where} from '../helpers/ast.ts';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {rawClient} from '../helpers/raw-client.ts';
import {anyone} from './permissions.ts';

interface Part {
  readonly gotQueriesPatch?: readonly {readonly op: string; readonly hash: string}[];
}
const text = {type: 'string'};
const clientSchema = {
  tables: {doc: {columns: {id: text, kind: text, body: {type: 'json'}}, primaryKey: ['id']}},
};
const put = (hash: string, kind?: string) => ({
  op: 'put',
  hash,
  ast: {
    table: 'doc',
    ...(kind && {where: where('kind', '=', kind)}),
  },
});
const nested = (levels: number) => `(repeat('[', ${levels}) || repeat(']', ${levels}))::jsonb`;

/** PostgreSQL holds JSON of more levels than SQLite reads. */
test('a row whose JSON is nested too deeply fails only queries that would return it, with the name of its column', async () => {
  await using db =
    await createDatabase(`CREATE TABLE doc (id text PRIMARY KEY, kind text NOT NULL, body jsonb);
    INSERT INTO doc VALUES ('a', 'flat', '{"a":[1]}'), ('b', 'flat', NULL), ('c', 'flat', ${nested(1000)}),
      ('d', 'deep', ${nested(1001)})`);
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [
    JSON.stringify({tables: {doc: {row: anyone}}}),
  ]);
  using client = rawClient({
    server: daemon.url,
    init: {clientSchema, desiredQueriesPatch: [put('all'), put('flat', 'flat')]},
  });
  const got = (hash: string) =>
    client.next<Part>('pokePart', part =>
      Boolean(part.gotQueriesPatch?.some(op => op.op === 'put' && op.hash === hash)),
    );
  const failed = async (hash: string) => {
    const errors = await client.next<{id: string; message: string}[]>('transformError', list =>
      list.some(({id}) => id === hash),
    );
    expect(errors.find(({id}) => id === hash)?.message).toMatch(
      /a value of doc\.body is JSON of more than 1,000 levels/,
    );
  };
  await got('flat');
  await client.next('pokePart', part => JSON.stringify(part).includes('"body":{"a":[1]}'));
  await failed('all');
  await db.query(`UPDATE doc SET body = '"flat now"', kind = 'flat' WHERE id = 'd'`);
  await client.next('pokePart', part => JSON.stringify(part).includes('flat now'));
  client.send(['changeDesiredQueries', {desiredQueriesPatch: [put('again')]}]);
  await got('again');
  // A change that makes a row such a one, and one beside it.
  await db.query(`UPDATE doc SET body = ${nested(1500)}, kind = 'deep' WHERE id = 'd'`);
  await failed('again');
  await db.query(`UPDATE doc SET body = '"still told"' WHERE id = 'a'`);
  await client.next('pokePart', part => JSON.stringify(part).includes('still told'));
  expect(client.errors).toEqual([]);
  expect(client.closed).toBeNull();
});
