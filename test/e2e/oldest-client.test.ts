import {expect, test} from 'vitest';
import {startDaemon} from '../helpers/daemon.ts';
import {OLDEST, oldestClient} from '../helpers/oldest-client.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {startProxy} from '../helpers/tcp-proxy.ts';
import {until} from '../helpers/until.ts';
import {anyone} from './permissions.ts';

/** Apps do not all move to a new client at once: the oldest that speaks protocol 30 or later works too. */

const client = await oldestClient();

test.skipIf(client === null)(`client ${OLDEST.version}: connect, query, mutate, reconnect`, async () => {
  const {Zero, createSchema, table, string, number, relationships} = client!;
  await using db = await createDatabase(`
    CREATE TABLE project (id text PRIMARY KEY, name text);
    CREATE TABLE task (id text PRIMARY KEY, project text REFERENCES project, n int);
    INSERT INTO project VALUES ('p', 'first');
    INSERT INTO task VALUES ('t1', 'p', 1), ('t2', 'p', 2);`);
  await using daemon = await startDaemon({upstream: db.url, appID: db.appID});
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [
    JSON.stringify({tables: {project: {row: anyone}, task: {row: anyone}}}),
  ]);
  await using proxy = await startProxy(daemon.url);

  const project = table('project').columns({id: string(), name: string().optional()}).primaryKey('id');
  const task = table('task')
    .columns({id: string(), project: string().optional(), n: number().optional()})
    .primaryKey('id');
  const schema = createSchema({
    tables: [project, task],
    relationships: [
      relationships(project, ({many}) => ({
        tasks: many({sourceField: ['id'], destField: ['project'], destSchema: task}),
      })),
    ],
    enableLegacyQueries: true,
    enableLegacyMutators: true,
  });
  const complaints: string[] = [];
  const zero = new Zero({
    server: proxy.url.replace(/\/$/, ''),
    userID: 'tester',
    schema,
    kvStore: 'mem',
    logLevel: 'error',
    onUpdateNeeded: reason => complaints.push(reason.type),
    onClientStateNotFound: () => complaints.push('client state not found'),
  });
  const tasks = (): string[] =>
    view.data.flatMap(row => row.tasks.map(({id, n}) => `${row.name} ${id} ${n}`));
  const view = zero.query.project.related('tasks', q => q.orderBy('n', 'asc')).materialize();
  try {
    await until(() => tasks().length === 2, 'the first answer');
    expect(tasks()).toEqual(['first t1 1', 'first t2 2']);

    await zero.mutate.task.insert({id: 't3', project: 'p', n: 3});
    await zero.mutate.task.update({id: 't1', n: 10});
    await zero.mutate.task.delete({id: 't2'});
    await until(
      async () =>
        (await db.query(`SELECT string_agg(id || n, ',' ORDER BY id) AS s FROM task`)).rows[0].s ===
        't110,t33',
      'the writes upstream',
    );
    await db.query(`UPDATE project SET name = 'second'`);
    await until(() => tasks().join() === 'second t3 3,second t1 10', 'writes and a change from elsewhere');

    const before = proxy.accepted;
    proxy.cut();
    await db.query(`UPDATE task SET n = 0 WHERE id = 't1'`);
    await zero.mutate.task.insert({id: 't4', project: 'p', n: 4});
    await until(() => tasks().join() === 'second t1 0,second t3 3,second t4 4', 'both sides after the cut');
    await until(
      async () => (await db.query(`SELECT count(*)::int AS n FROM task WHERE id = 't4'`)).rows[0].n === 1,
      'what was written while away',
    );
    expect(proxy.accepted).toBeGreaterThan(before);
    expect(complaints).toEqual([]);
  } finally {
    view.destroy();
    await zero.close();
  }
});
