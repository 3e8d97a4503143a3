import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {zeroNodePg} from '@rocicorp/zero/server/adapters/pg';
import {expect, test} from 'vitest';
import {killProcess} from '../helpers/cluster.ts';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {Random} from '../helpers/random.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';
import {difference, plain} from './compare.ts';
import {deployAnyone} from './permissions.ts';
import {initialRows, randomTransaction} from './random-data.ts';
import {ddl, schema, zql} from './schema.ts';

const KILLS = 6;
const seed = Number(process.env['ZS_SEED'] ?? Date.now() % 1_000_000);

const QUERIES = {
  issues: zql.issue.orderBy('rank', 'desc').limit(20),
  labelled: zql.issue.whereExists('labels').related('comments', q => q.orderBy('id', 'asc').limit(2)),
  users: zql.user.related('created', q => q.where('open', true)),
  projects: zql.project.related('issues', q => q.orderBy('num', 'asc').limit(5)),
};

/** Every kind of process is killed in turn, at random moments, while PostgreSQL and a client write. */
test(`after kill -9 and restart clients converge and no write is lost or repeated (seed ${seed})`, async () => {
  const random = new Random(seed);
  await using db = await createDatabase(ddl);
  await transaction(db, initialRows(random));
  const dir = await mkdtemp(join(tmpdir(), 'zs-kill-'));
  let daemon = await startDaemon({upstream: db.url, appID: db.appID, dir});
  try {
    await deployAnyone(db, db.appID);
    await using client = stockClient({schema, server: daemon.url, storageKey: db.name, userID: 'u1'});
    const views = Object.entries(QUERIES).map(
      ([name, query]) => [name, query, client.zero.materialize(query as never)] as const,
    );
    const tick = client.zero.materialize(zql.tick.one());

    let writing = true;
    let ticks = 0;
    const upstreamWrites = (async () => {
      while (writing) {
        await transaction(db, randomTransaction(random));
        ticks++;
        await new Promise(resolve => setTimeout(resolve, random.int(20)));
      }
    })();
    const wanted: string[] = [];
    const clientWrites = (async () => {
      for (let n = 0; writing; n++) {
        const id = `own-${String(n).padStart(5, '0')}`;
        // A client that is offline refuses writes; then nothing was promised.
        const accepted = await client.zero.mutate.label.insert({id, name: `label ${n}`}).then(
          () => true,
          () => false,
        );
        if (accepted) wanted.push(id);
        await new Promise(resolve => setTimeout(resolve, 10 + random.int(30)));
      }
    })();

    for (let kill = 0; kill < KILLS; kill++) {
      await new Promise(resolve => setTimeout(resolve, 200 + random.int(700)));
      const victim = (['dispatcher', 'replicator', 'sync-worker-0'] as const)[kill % 3]!;
      await killProcess(daemon, victim);
      const port = daemon.port;
      daemon = await startDaemon({upstream: db.url, appID: db.appID, dir, port});
    }
    writing = false;
    await Promise.all([upstreamWrites, clientWrites]);

    await until(
      async () =>
        (await db.query(`SELECT count(*)::int AS n FROM label WHERE id LIKE 'own-%'`)).rows[0].n >=
        wanted.length,
      'all accepted mutations are upstream',
    );
    const {rows} = await db.query(`SELECT id FROM label WHERE id LIKE 'own-%' ORDER BY id`);
    expect(rows.map(row => row.id)).toEqual(wanted);
    await transaction(db, ['UPDATE tick SET n = n + 1']);
    ticks++;
    await until(
      () => (tick.data as {n: number} | undefined)?.n === ticks,
      'the client has the last transaction',
    ).catch(error => {
      throw new Error(`${error.message} (${JSON.stringify(tick.data)} of ${ticks}); ${client.complaints}`);
    });
    const oracle = zeroNodePg(schema, db.pool);
    for (const [name, query, view] of views) {
      const answer = plain(await oracle.run(query as never));
      const differs = difference(plain(view.data), answer);
      if (differs) expect.fail(`seed ${seed}, ${name}: ${differs}`);
    }
    expect(client.complaints).toEqual([]);
    expect(daemon.output()).not.toContain('initial sync started');
  } finally {
    await daemon.stop();
    await rm(dir, {recursive: true, force: true});
  }
}, 180_000);

const transaction = async (db: TestDatabase, statements: readonly string[]) => {
  const client = await db.pool.connect();
  try {
    await client.query(['BEGIN', ...statements, 'COMMIT'].join(';\n'));
  } finally {
    client.release();
  }
};
