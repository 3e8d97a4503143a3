import {expect, test} from 'vitest';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {rawClient} from '../helpers/raw-client.ts';
import {until} from '../helpers/until.ts';

const ROWS = 200_000;
const ANYONE = [['allow', {type: 'and', conditions: []}]];

/** Known fault 17 of the original: a minute and more until clients saw it. How fast it is, T25 of the bench tells. */
test('a transaction of 200,000 rows reaches a client, whole and once', async () => {
  await using db = await createDatabase(`
    CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL);
    INSERT INTO t SELECT i, 0 FROM generate_series(1, ${ROWS}) i`);
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [
    JSON.stringify({tables: {t: {row: {select: ANYONE}}}}),
  ]);
  const query = {
    table: 't',
    where: {type: 'simple', op: '<=', left: {type: 'column', name: 'id'}, right: {type: 'literal', value: 2}},
    orderBy: [['id', 'asc']],
  };
  using client = rawClient({
    server: daemon.url,
    init: {
      clientSchema: {
        tables: {t: {columns: {id: {type: 'number'}, n: {type: 'number'}}, primaryKey: ['id']}},
      },
      desiredQueriesPatch: [{op: 'put', hash: 'q', ast: query}],
    },
  });
  interface Part {
    readonly rowsPatch?: readonly {
      readonly op: string;
      readonly value: {readonly id: number; readonly n: number};
    }[];
  }
  const rows = () =>
    client.received.flatMap(([type, body]) =>
      type === 'pokePart' ? ((body as Part).rowsPatch ?? []).map(({value}) => `${value.id}:${value.n}`) : [],
    );
  await until(() => rows().length === 2, 'the first answer');
  await db.query('UPDATE t SET n = id');
  await until(() => rows().length > 2, 'the change');
  // What comes next shows that nothing of the large one came twice.
  await db.query('UPDATE t SET n = -1 WHERE id = 1');
  await until(() => rows().includes('1:-1'), 'the change after it');
  expect(rows()).toEqual(['1:0', '2:0', '1:1', '2:2', '1:-1']);
  expect(client.errors).toEqual([]);
});
