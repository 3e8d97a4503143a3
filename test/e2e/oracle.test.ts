import {zeroNodePg} from '@rocicorp/zero/server/adapters/pg';
import {expect, test} from 'vitest';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {peerDaemon} from '../helpers/peer.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {Random} from '../helpers/random.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';
import {difference, plain} from './compare.ts';
import {deployAnyone} from './permissions.ts';
import {initialRows, randomTransaction} from './random-data.ts';
import {type LooseQuery, randomQuery} from './random-query.ts';
import {ddl, schema, zql} from './schema.ts';

const QUERIES = 220;
const TRANSACTIONS = 20;

/**
 * Fixed, since the stock client itself fails on some (550956 and 890866: "node does not exist", against the original server
 * as well). `ZS_SEED` tries others; `npm run fuzz` goes on without end, in process.
 */
const seed = Number(process.env['ZS_SEED'] ?? 708_362);

/** The stock client, through our server, shows what the stock library's ZQL on PostgreSQL answers. */
test(`${QUERIES} random queries equal PostgreSQL's answer, at first and after each of ${TRANSACTIONS} transactions (seed ${seed})`, async () => {
  const random = new Random(seed);
  await using db = await createDatabase(ddl);
  await run(db, initialRows(random));
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID, ...server()});
  await deployAnyone(db, db.appID);
  await compareAll(random, db, daemon);
}, 400_000);

const compareAll = async (random: Random, db: TestDatabase, daemon: Daemon) => {
  await using client = stockClient({schema, server: daemon.url, storageKey: db.name, userID: 'u1'});
  const oracle = zeroNodePg(schema, db.pool);
  const queries = Array.from({length: QUERIES}, () => randomQuery(random));
  const tick = client.zero.materialize(zql.tick.one());
  const views = queries.map(query => materialize(client.zero, query));
  const complete = views.map(() => false);
  views.forEach((view, i) => {
    view.addListener((_, type) => {
      if (type === 'complete') complete[i] = true;
    });
  });
  await until(() => complete.every(Boolean), 'all queries are complete', 120_000).catch(error => {
    throw new Error(`${error.message}; ${client.complaints}; ${daemon.output().slice(-4000)}`);
  });

  const check = async (when: string) => {
    for (const [i, query] of queries.entries()) {
      const wanted = plain(await oracle.run(query as never));
      const differs = difference(plain(views[i]!.data), wanted);
      if (differs)
        expect.fail(`seed ${seed}, ${when}, query ${i}: ${differs}\n${JSON.stringify(astOf(query))}`);
    }
  };

  await check('at first');
  for (let n = 1; n <= TRANSACTIONS; n++) {
    await run(db, randomTransaction(random));
    await until(() => (tick.data as {n: number} | undefined)?.n === n, `transaction ${n} arrives`);
    await check(`after transaction ${n}`);
  }
  expect(client.complaints).toEqual([]);
};

interface View {
  readonly data: unknown;
  addListener(listener: (data: unknown, type: string) => void): void;
}

const materialize = (zero: object, query: LooseQuery): View =>
  (zero as {materialize(query: unknown): View}).materialize(query);

const astOf = (query: LooseQuery): unknown => {
  for (const symbol of Object.getOwnPropertyNames(Object.getPrototypeOf(query)))
    if (symbol === 'ast') return (query as unknown as {ast: unknown}).ast;
  return (query as unknown as {ast?: unknown}).ast ?? null;
};

const run = async (db: TestDatabase, statements: readonly string[]) => {
  const client = await db.pool.connect();
  try {
    await client.query(['BEGIN', ...statements, 'COMMIT'].join(';\n'));
  } finally {
    client.release();
  }
};

/** `ZS_PEER=1`: checks this harness itself against the stock server. */
const server = () => (process.env['ZS_PEER'] ? peerDaemon()! : {});
