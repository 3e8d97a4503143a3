import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import type {UpQueryOp} from '../../src/protocol/up.ts';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {Random} from '../helpers/random.ts';
import {ClientStore, StoreClient} from '../helpers/store-client.ts';
import {until} from '../helpers/until.ts';

/**
 * Random lives of client groups: tabs come with any store their group ever had, desires change, rows change, clients are
 * deleted, the server restarts. Whatever happens, in the end each client holds exactly the rows of what its group wants.
 */
const STEPS = Number(process.env['ZS_STEPS'] ?? 100);
const GROUPS = 3;
const QUERIES = ['q0', 'q1', 'q2', 'q3'];
const seed = Number(process.env['ZS_SEED'] ?? Date.now() % 1_000_000);

const schema = {
  tables: {
    item: {
      columns: {id: {type: 'string' as const}, grp: {type: 'string' as const}, n: {type: 'number' as const}},
      primaryKey: ['id'],
    },
  },
};
const column = (name: string) => ({type: 'column', name}) as const;
/** Overlapping: a row may be in several, and leave one while it stays in another. */
const queries: Readonly<Record<string, UpQueryOp & {op: 'put'}>> = Object.fromEntries(
  QUERIES.map((hash, i) => [
    hash,
    {
      op: 'put',
      hash,
      ttl: 0,
      ast: {
        table: 'item',
        where: {
          type: 'or',
          conditions: [
            {type: 'simple', op: '=', left: column('grp'), right: {type: 'literal', value: `g${i}`}},
            {
              type: 'simple',
              op: '=',
              left: column('grp'),
              right: {type: 'literal', value: `g${(i + 1) % 4}`},
            },
          ],
        },
      },
    },
  ]),
);

interface Group {
  readonly id: string;
  readonly clients: StoreClient[];
  /** Stores that tabs of the group had at some time. */
  readonly stores: ClientStore[];
  /** What clients want, connected or not. */
  readonly desires: Map<string, Set<string>>;
}

test(`clients hold what their groups want after ${STEPS} random steps (seed ${seed})`, async () => {
  const random = new Random(seed);
  const dir = await mkdtemp(join(tmpdir(), 'zerostream-oracle-'));
  await using db = await createDatabase(
    'CREATE TABLE item (id text PRIMARY KEY, grp text NOT NULL, n int NOT NULL); CREATE INDEX ON item (grp)',
  );
  const world = new World(db, dir, random);
  try {
    await world.start();
    for (let step = 1; step <= STEPS; step++) {
      await world.step();
      if (step % 15 === 0) await world.check(`seed ${seed}, step ${step}`);
    }
  } finally {
    await world.stop();
    await rm(dir, {recursive: true, force: true});
  }
}, 300_000);

class World {
  readonly #db: TestDatabase;
  readonly #dir: string;
  readonly #random: Random;
  readonly #groups: readonly Group[];
  readonly #log: string[] = [];
  #daemon: Daemon | null = null;
  #nextClient = 0;

  constructor(db: TestDatabase, dir: string, random: Random) {
    this.#db = db;
    this.#dir = dir;
    this.#random = random;
    this.#groups = Array.from({length: GROUPS}, (_, i) => ({
      id: `group${i}`,
      clients: [],
      stores: [],
      desires: new Map(),
    }));
  }

  async start(): Promise<void> {
    this.#daemon = await startDaemon({upstream: this.#db.url, appID: this.#db.appID, dir: this.#dir});
    const anyone = {tables: {item: {row: {select: [['allow', {type: 'and', conditions: []}]]}}}};
    await this.#db.query(`UPDATE "${this.#db.appID}".permissions SET permissions = $1`, [
      JSON.stringify(anyone),
    ]);
  }

  async stop(): Promise<void> {
    for (const {clients} of this.#groups) for (const client of clients) await client[Symbol.asyncDispose]();
    await this.#daemon?.[Symbol.asyncDispose]();
  }

  async step(): Promise<void> {
    const random = this.#random;
    const group = random.pick(this.#groups);
    const dice = random.next();
    if (dice < 0.45) await this.#write();
    else if (dice < 0.6 || group.clients.length === 0) await this.#open(group);
    else if (dice < 0.72) await this.#close(group);
    else if (dice < 0.97) await this.#desire(group, random.pick(group.clients));
    else await this.#restart();
  }

  /** Waits until every client is where it should be. */
  async check(when: string): Promise<void> {
    for (const group of this.#groups) {
      const got = [...new Set([...group.desires.values()].flatMap(hashes => [...hashes]))].sort();
      const grps = [...new Set(got.flatMap(hash => [Number(hash[1]), (Number(hash[1]) + 1) % 4]))];
      const {rows} = await this.#db.query(
        'SELECT id, grp, n FROM item WHERE grp = ANY($1) ORDER BY id COLLATE "C"',
        [grps.map(n => `g${n}`)],
      );
      for (const client of group.clients) {
        const state = () => ({
          got: [...client.store.got].sort(),
          rows: client.store.table('item'),
          error: client.error,
          violations: client.violations,
        });
        const wanted = {got, rows, error: null, violations: []};
        await until(() => JSON.stringify(state()) === JSON.stringify(wanted), when, 30_000).catch(() => {
          expect(state(), `${when}, ${group.id} ${client.clientID}\n${this.#log.join('\n')}`).toEqual(wanted);
        });
      }
    }
  }

  async #write(): Promise<void> {
    const random = this.#random;
    const client = await this.#db.pool.connect();
    await client.query('BEGIN');
    for (let i = 0; i <= random.int(4); i++) {
      const id = `i${random.int(25)}`;
      const grp = `g${random.int(4)}`;
      if (random.chance(0.25)) await client.query('DELETE FROM item WHERE id = $1', [id]);
      else
        await client.query(
          'INSERT INTO item VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET grp = EXCLUDED.grp, n = EXCLUDED.n',
          [id, grp, random.int(100)],
        );
    }
    await client.query('COMMIT');
    client.release();
    this.#log.push('write');
  }

  /** A tab from nothing, from any store its group ever had, or an old tab again. */
  async #open(group: Group): Promise<void> {
    const random = this.#random;
    const store =
      group.stores.length && random.chance(0.8) ? random.pick(group.stores).fork() : new ClientStore();
    const known = [...group.desires.keys()].filter(id =>
      group.clients.every(({clientID}) => clientID !== id),
    );
    const clientID = known.length && random.chance(0.5) ? random.pick(known) : `c${++this.#nextClient}`;
    const wanted = QUERIES.filter(() => random.chance(0.3));
    const gone = known.filter(id => id !== clientID && random.chance(0.3));
    this.#log.push(`${group.id}: ${clientID} opens at ${store.cookie}, wants ${wanted}, deletes ${gone}`);
    const client = await StoreClient.open({
      url: this.#daemon!.url,
      schema,
      clientID,
      clientGroupID: group.id,
      store,
      init: {
        desiredQueriesPatch: wanted.map(hash => queries[hash]!),
        ...(gone.length ? {deleted: {clientIDs: gone}} : {}),
      },
    });
    group.clients.push(client);
    const desires = group.desires.get(clientID) ?? new Set();
    group.desires.set(clientID, desires);
    for (const hash of wanted) desires.add(hash);
    for (const id of gone) group.desires.delete(id);
  }

  async #close(group: Group): Promise<void> {
    const client = this.#random.pick(group.clients);
    group.clients.splice(group.clients.indexOf(client), 1);
    await client.close();
    group.stores.push(client.store.fork());
    this.#log.push(`${group.id}: ${client.clientID} closes at ${client.store.cookie}`);
  }

  async #desire(group: Group, client: StoreClient): Promise<void> {
    const hash = this.#random.pick(QUERIES);
    const desires = group.desires.get(client.clientID)!;
    const op: UpQueryOp = desires.has(hash) ? {op: 'del', hash} : queries[hash]!;
    if (op.op === 'del') desires.delete(hash);
    else desires.add(hash);
    client.send('changeDesiredQueries', {desiredQueriesPatch: [op]});
    // What it holds at this moment may be what a later tab comes with.
    if (this.#random.chance(0.5)) group.stores.push(client.store.fork());
    this.#log.push(`${group.id}: ${client.clientID} ${op.op} ${hash}`);
    // Only what was answered is sure to be heard, should the client close.
    const key = `${client.clientID}/${hash}`;
    await client.until(
      () => client.store.desired.has(key) === (op.op === 'put'),
      `${op.op} ${hash} is answered`,
    );
  }

  async #restart(): Promise<void> {
    // What a client has sent is only sure to be heard once it was answered.
    await this.check('before a restart');
    this.#log.push('restart');
    await (this.#random.chance(0.5) ? this.#daemon!.kill() : this.#daemon!.stop());
    for (const group of this.#groups)
      for (const client of group.clients.splice(0)) {
        await client.untilClosed();
        if (client.store.cookie !== null) group.stores.push(client.store.fork());
      }
    await this.start();
  }
}
