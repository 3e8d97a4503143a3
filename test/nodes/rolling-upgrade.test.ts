import {mkdirSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {deployAnyone} from '../e2e/permissions.ts';
import {initialRows} from '../e2e/random-data.ts';
import {ddl, schema, zql} from '../e2e/schema.ts';
import {startBalancer} from '../helpers/balancer.ts';
import {replicationManager, viewSyncer} from '../helpers/cluster.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {Random} from '../helpers/random.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';
import {confirmedWrites, upstreamWrites} from '../helpers/write-load.ts';

const seed = Number(process.env['ZS_SEED'] ?? Date.now() % 1_000_000);

/** As in an upgrade: first a new replication-manager beside the old one, then the servers behind the balancer in turn. */
test(`all roles are replaced under load: no write is lost, nothing older is shown (seed ${seed})`, async () => {
  const random = new Random(seed);
  await using db = await createDatabase(ddl);
  await db.query(initialRows(random).join(';\n'));
  const dir = await mkdtemp(join(tmpdir(), 'zs-rolling-'));
  const at = (name: string) => {
    mkdirSync(join(dir, name), {recursive: true});
    return {dir: join(dir, name), env: {ZERO_CHANGE_STREAMER_MODE: 'discover'}};
  };
  let manager = await replicationManager(db, {dir: at('rm').dir});
  await deployAnyone(db, db.appID);
  const servers = await Promise.all(['a', 'b'].map(name => viewSyncer(db, null, at(name))));
  const balancer = await startBalancer(servers.map(({url}) => url));
  const clients = [0, 1, 2].map(i =>
    stockClient({schema, server: balancer.url, storageKey: `${db.name}-${i}`, userID: `u${i}`}),
  );
  try {
    /** What each client has shown of a row that only ever grows. */
    const shown = clients.map(() => [] as number[]);
    const ticks = clients.map((client, i) => {
      const view = client.zero.materialize(zql.tick.one());
      view.addListener(data => {
        if (data) shown[i]!.push((data as {n: number}).n);
      });
      return view;
    });
    const labels = clients.map(client => client.zero.materialize(zql.label));
    await until(() => ticks.every(tick => tick.data !== undefined), 'all clients are in sync');
    const load = upstreamWrites(db, random);
    const writers = clients.map((client, i) => confirmedWrites(client, `own${i}`, random));
    const moment = () => new Promise(resolve => setTimeout(resolve, 300 + random.int(300)));

    await moment();
    const old = manager;
    manager = await replicationManager(db, {dir: at('rm-next').dir});
    expect(await old.exited, old.output()).toBe(14);
    for (const [i, name] of ['a', 'b'].entries()) {
      await moment();
      const {port} = servers[i]!;
      expect(await servers[i]!.stop()).toBe(0);
      servers[i] = await viewSyncer(db, null, {...at(name), port});
    }
    await moment();

    const count = await load.stop();
    const accepted = (await Promise.all(writers.map(writer => writer.stop()))).flat().sort();
    await until(
      () => ticks.every(tick => (tick.data as {n: number}).n === count),
      'all have the last transaction',
    );
    const upstream = async () =>
      (await db.query(`SELECT id FROM label WHERE id LIKE 'own%' ORDER BY id COLLATE "C"`)).rows.map(
        row => row.id,
      );
    await until(async () => (await upstream()).length >= accepted.length, 'all accepted writes are upstream');
    expect(await upstream()).toEqual(accepted);
    for (const [i, view] of labels.entries()) {
      const own = () => (view.data as {id: string}[]).map(({id}) => id).filter(id => id.startsWith('own'));
      await until(() => own().length === accepted.length, `client ${i} has all writes`);
    }
    for (const [i, values] of shown.entries()) {
      expect(values, `client ${i} went back`).toEqual([...values].sort((a, b) => a - b));
      expect(clients[i]!.complaints).toEqual([]);
    }
    // The replica of the new replication-manager was not copied from PostgreSQL again.
    expect(manager.output()).not.toContain('initial sync started');
  } catch (error) {
    throw new Error(
      `${(error as Error).message}\n${[manager, ...servers].map(node => node.output().slice(-3000)).join('\n---\n')}`,
      {cause: error},
    );
  } finally {
    await Promise.all(clients.map(client => client[Symbol.asyncDispose]()));
    await balancer[Symbol.asyncDispose]();
    await Promise.all([...servers, manager].map(node => node[Symbol.asyncDispose]()));
    await rm(dir, {recursive: true, force: true});
  }
}, 120_000);
