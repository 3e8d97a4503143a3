import {existsSync} from 'node:fs';
import {expect, test} from 'vitest';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';
import {deployAnyone} from './permissions.ts';
import {ddl, schema, zql} from './schema.ts';

test('clients live through a replica that is built anew, and go on from the new one', async () => {
  await using db = await createDatabase(ddl);
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  await deployAnyone(db, db.appID);
  await db.query("INSERT INTO label (id, name) VALUES ('a', 'before')");
  await using client = stockClient({schema, server: daemon.url, storageKey: db.name, userID: 'u1'});
  const labels = client.zero.materialize(zql.label.orderBy('id', 'asc'));
  const names = () => (labels.data as readonly {name: string}[]).map(({name}) => name);
  await until(() => names().join() === 'before', 'the row has arrived');

  const slots = `SELECT slot_name FROM pg_replication_slots WHERE database = current_database()`;
  const [old] = (await db.query(slots)).rows;
  await until(async () => {
    await db.query(
      'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active',
      [old!.slot_name],
    );
    return db.query('SELECT pg_drop_replication_slot($1)', [old!.slot_name]).then(
      () => true,
      () => false,
    );
  }, 'the slot is gone');
  await db.query("INSERT INTO label (id, name) VALUES ('b', 'meanwhile')");
  await until(() => names().join() === 'before,meanwhile', 'the client has what the new replica began with');
  for (let n = 0; n < 3; n++) {
    await db.query('INSERT INTO label (id, name) VALUES ($1, $2)', [`c${n}`, `after ${n}`]);
    await until(() => names().at(-1) === `after ${n}`, 'a change to the new replica has arrived');
  }
  expect(names()).toEqual(['before', 'meanwhile', 'after 0', 'after 1', 'after 2']);
  expect(existsSync(daemon.replicaFile)).toBe(true);
});
