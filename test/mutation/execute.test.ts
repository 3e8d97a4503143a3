import {expect, test} from 'vitest';
import type {Permissions} from '../../src/auth/permissions.ts';
import {MutationExecutor} from '../../src/mutation/execute.ts';
import type {MutationRequest} from '../../src/mutation/types.ts';
import {createPool} from '../../src/pg/connect.ts';
import {ensureShard} from '../../src/pg/shard.ts';
import {limitedRole} from '../helpers/limited-role.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {crudMutation} from '../helpers/raw-client.ts';
import {until} from '../helpers/until.ts';

const POSITIVE = [
  'allow',
  {type: 'simple', op: '>', left: {type: 'column', name: 'n'}, right: {type: 'literal', value: 0}},
] as const;

test('where PostgreSQL has no connection left, a mutation waits with its id', async () => {
  await using db = await createDatabase('CREATE TABLE t (id text PRIMARY KEY, n int)');
  const owner = await db.pool.connect();
  await ensureShard(owner, {appID: db.appID, shardNum: 0, publications: []});
  owner.release();
  await using role = await limitedRole(db);
  const name = new URL(role.url).username;
  await db.query(`GRANT ALL ON ALL TABLES IN SCHEMA public, "${db.appID}_0" TO ${name};
    GRANT USAGE ON SCHEMA "${db.appID}_0" TO ${name}`);
  const pool = createPool(role.url, {purpose: 'mutations', max: 1, pipeline: true});
  // An upsert under rules is judged by what is there, and so not sent ahead with others.
  const permissions: Permissions = {
    tables: {t: {row: {insert: [POSITIVE], update: {preMutation: [POSITIVE], postMutation: [POSITIVE]}}}},
  };
  const executor = new MutationExecutor({
    pool,
    shard: `${db.appID}_0`,
    permissions: () => permissions,
    gapsMayClose: false,
  });
  const upsert = (id: number): MutationRequest => ({
    connection: {clientGroupID: 'g', clientID: 'c'} as never,
    mutation: crudMutation('c', id, [{op: 'upsert', tableName: 't', value: {id: 'x', n: id}}]) as never,
    claims: null as never,
  });
  try {
    expect(await executor.run([upsert(1)])).toEqual([{kind: 'applied'}]);
    await db.query(`ALTER ROLE ${name} CONNECTION LIMIT 0`);
    // For a moment only: the next attempt would find one, and could take the id.
    const connect = pool.connect.bind(pool);
    pool.connect = (() =>
      connect().catch(async error => {
        await db.query(`ALTER ROLE ${name} CONNECTION LIMIT -1`);
        throw error;
      })) as typeof pool.connect;
    await db.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [name]);
    await until(() => pool.totalCount === 0, 'the connection is gone');
    await expect(executor.run([upsert(2)])).rejects.toMatchObject({code: '53300'});
    expect(await executor.run([upsert(2)])).toEqual([{kind: 'applied'}]);
    expect((await db.query('SELECT n FROM t')).rows).toEqual([{n: 2}]);
  } finally {
    await pool.end();
  }
});
