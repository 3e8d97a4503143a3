import {statSync} from 'node:fs';
import {expect, test} from 'vitest';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {type RawClient, rawClient} from '../helpers/raw-client.ts';
import {until} from '../helpers/until.ts';

const MB = 1024 * 1024;
/** From this size on readers are asked to let go of it. */
const LARGE = 64 * MB;
/** A page of the replica each: a change of some bytes costs the WAL 4 KiB. */
const ROWS = 2000;
const ROWS_PER_TRANSACTION = 20;
const TRANSACTIONS = 3000;
const CLIENTS = 8;
const ANYONE = [['allow', {type: 'and', conditions: []}]];

interface Part {
  readonly rowsPatch?: readonly {readonly op: string; readonly value?: {readonly n?: number}}[];
}

/** The newest `n` that a client was told. */
const shown = (client: RawClient): number =>
  Math.max(
    0,
    ...client.received.flatMap(([type, body]) =>
      type === 'pokePart' ? ((body as Part).rowsPatch ?? []).map(({value}) => value?.n ?? 0) : [],
    ),
  );

test("the replica's WAL stays bounded in a server under steady load, whose clients all come to the end", async () => {
  await using db = await createDatabase(`
    CREATE TABLE page (id int PRIMARY KEY, n int NOT NULL, pad text NOT NULL) WITH (fillfactor = 50);
    ALTER TABLE page ALTER pad SET STORAGE EXTERNAL;
    INSERT INTO page SELECT i, 0, repeat('x', 3800) FROM generate_series(0, ${ROWS - 1}) i;
    CREATE TABLE item (id int PRIMARY KEY, n int NOT NULL); INSERT INTO item SELECT i, 0 FROM generate_series(1, 20) i;
    CREATE PROCEDURE load(transactions int) LANGUAGE plpgsql AS $$
    BEGIN
      FOR k IN 1 .. transactions LOOP
        UPDATE page SET n = k WHERE id BETWEEN k * ${ROWS_PER_TRANSACTION} % ${ROWS} AND k * ${ROWS_PER_TRANSACTION} % ${ROWS} + ${ROWS_PER_TRANSACTION - 1};
        UPDATE item SET n = k WHERE id = k % 20 + 1;
        COMMIT;
      END LOOP;
    END $$`);
  await using daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {ZERO_NUM_SYNC_WORKERS: '2', ZERO_LOG_LEVEL: 'warn'},
  });
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [
    JSON.stringify({tables: {item: {row: {select: ANYONE}}}}),
  ]);
  const clients = Array.from({length: CLIENTS}, () =>
    rawClient({
      server: daemon.url,
      init: {
        clientSchema: {
          tables: {item: {columns: {id: {type: 'number'}, n: {type: 'number'}}, primaryKey: ['id']}},
        },
        desiredQueriesPatch: [{op: 'put', hash: 'all', ast: {table: 'item', orderBy: [['id', 'asc']]}}],
      },
    }),
  );
  try {
    for (const client of clients)
      await client.next<Part>('pokePart', part => Boolean(part.rowsPatch?.length));
    let peak = 0;
    const watching = setInterval(() => {
      peak = Math.max(peak, statSync(`${daemon.replicaFile}-wal`, {throwIfNoEntry: false})?.size ?? 0);
    }, 5);
    const loader = await db.pool.connect();
    try {
      await loader.query('SET synchronous_commit = off');
      await loader.query(`CALL load(${TRANSACTIONS})`);
      await until(() => {
        expect(clients.flatMap(client => client.errors)).toEqual([]);
        return clients.every(client => shown(client) === TRANSACTIONS);
      }, 'all clients are at the end');
    } finally {
      loader.release();
      clearInterval(watching);
    }
    // Enough came through for the limit to mean something, and the limit was kept.
    expect(peak).toBeGreaterThan(LARGE / 2);
    expect(peak).toBeLessThan(LARGE + 32 * MB);
    // Each was served all the while, and not only at the end.
    for (const client of clients) {
      expect(client.received.filter(([type]) => type === 'pokeEnd').length).toBeGreaterThan(5);
      expect(client.errors).toEqual([]);
    }
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
}, 120_000);
