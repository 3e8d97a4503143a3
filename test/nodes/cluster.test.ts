import {mkdirSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {zeroNodePg} from '@rocicorp/zero/server/adapters/pg';
import {expect, test} from 'vitest';
import {difference, plain} from '../e2e/compare.ts';
import {deployAnyone} from '../e2e/permissions.ts';
import {initialRows} from '../e2e/random-data.ts';
import {ddl, schema, zql} from '../e2e/schema.ts';
import {
  becomesEqual,
  changeStreamer,
  killProcess,
  replicationManager,
  viewSyncer,
} from '../helpers/cluster.ts';
import type {Daemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {Random} from '../helpers/random.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {startProxy} from '../helpers/tcp-proxy.ts';
import {until} from '../helpers/until.ts';
import {confirmedWrites, upstreamWrites} from '../helpers/write-load.ts';

const seed = Number(process.env['ZS_SEED'] ?? Date.now() % 1_000_000);

const QUERIES = {
  issues: zql.issue.orderBy('rank', 'desc').limit(20),
  labelled: zql.issue.whereExists('labels').related('comments', q => q.orderBy('id', 'asc').limit(2)),
  users: zql.user.related('created', q => q.where('open', true)),
};

/**
 * A replication-manager and three view-syncers, two of which reach it through a network that fails and one that discovers
 * it. Every role is killed under load, hosts are cut off, and another replication-manager takes over.
 */
test(`clients of all nodes converge, whatever happens to the nodes (seed ${seed})`, async () => {
  const random = new Random(seed);
  await using db = await createDatabase(ddl);
  await db.query(initialRows(random).join(';\n'));
  const dir = await mkdtemp(join(tmpdir(), 'zs-cluster-'));
  const at = (name: string) => {
    mkdirSync(join(dir, name), {recursive: true});
    return {dir: join(dir, name)};
  };
  let manager = await replicationManager(db, at('rm'));
  await deployAnyone(db, db.appID);
  await using network = await startProxy(changeStreamer(manager));
  const discover = {...at('vs2'), env: {ZERO_CHANGE_STREAMER_MODE: 'discover'}};
  const start = [
    (port?: number) => viewSyncer(db, network.url, {...at('vs0'), ...(port ? {port} : {})}),
    (port?: number) => viewSyncer(db, network.url, {...at('vs1'), ...(port ? {port} : {})}),
    (port?: number) => viewSyncer(db, null, {...discover, ...(port ? {port} : {})}),
  ] as const;
  const nodes: Daemon[] = await Promise.all(start.map(node => node()));
  const clients = nodes.map((node, i) =>
    stockClient({schema, server: node.url, storageKey: `${db.name}-${i}`, userID: `u${i}`}),
  );
  try {
    const ticks = clients.map(client => client.zero.materialize(zql.tick.one()));
    const views = clients.flatMap((client, i) =>
      Object.entries(QUERIES).map(
        ([name, query]) => [`node ${i}, ${name}`, query, client.zero.materialize(query as never)] as const,
      ),
    );
    const load = upstreamWrites(db, random);
    const writers = clients.map((client, i) => confirmedWrites(client, `own${i}`, random));
    const moment = () => new Promise(resolve => setTimeout(resolve, 200 + random.int(400)));
    const revive = async (i: number, victim: string) => {
      const {port} = nodes[i]!;
      await killProcess(nodes[i]!, victim);
      nodes[i] = await start[i]!(port);
    };
    const happenings: readonly (() => unknown)[] = [
      () => network.cut(),
      async () => {
        network.block();
        await moment();
        network.heal();
      },
      async () => {
        const {port} = manager;
        await killProcess(manager, 'replicator');
        manager = await replicationManager(db, {...at('rm'), port});
      },
      () => revive(0, 'replicator'),
      () => revive(1, 'dispatcher'),
      () => revive(2, 'sync-worker-0'),
      async () => {
        const old = manager;
        manager = await replicationManager(db, at('rm-next'));
        network.redirect(changeStreamer(manager));
        expect(await old.exited, old.output()).toBe(14);
      },
    ];
    for (const happen of happenings) {
      await moment();
      await happen();
    }
    await moment();
    const count = await load.stop();
    const accepted = (await Promise.all(writers.map(writer => writer.stop()))).flat().sort();

    await until(
      async () =>
        (await db.query(`SELECT count(*)::int AS n FROM label WHERE id LIKE 'own%'`)).rows[0].n >=
        accepted.length,
      'all accepted mutations are upstream',
    );
    const {rows} = await db.query(`SELECT id FROM label WHERE id LIKE 'own%' ORDER BY id COLLATE "C"`);
    expect(rows.map(row => row.id)).toEqual(accepted);
    for (const [i, tick] of ticks.entries())
      await until(
        () => (tick.data as {n: number} | undefined)?.n === count,
        `client ${i} has the last transaction`,
      ).catch(error => {
        throw new Error(`${error.message} (${JSON.stringify(tick.data)} of ${count})\n${nodes[i]!.output()}`);
      });
    const oracle = zeroNodePg(schema, db.pool);
    for (const [name, query, view] of views) {
      const answer = plain(await oracle.run(query as never));
      let differs: string | null = null;
      await until(() => (differs = difference(plain(view.data), answer)) === null, name, 5000).catch(
        () => {},
      );
      if (differs) expect.fail(`seed ${seed}, ${name}: ${differs}`);
    }
    for (const client of clients) expect(client.complaints).toEqual([]);
    // The lives of clients are written beside the load; in the end all replicas are equal.
    for (const node of nodes) await becomesEqual(node, manager);
  } finally {
    await Promise.all(clients.map(client => client[Symbol.asyncDispose]()));
    await Promise.all([...nodes, manager].map(node => node[Symbol.asyncDispose]()));
    await rm(dir, {recursive: true, force: true});
  }
}, 180_000);
