import {randomBytes} from 'node:crypto';
import pg from 'pg';
import {inject} from 'vitest';

export interface TestDatabase {
  readonly url: string;
  readonly name: string;
  /** A unique app id, valid in slot names: slots are shared by all databases of the server. */
  readonly appID: string;
  readonly pool: pg.Pool;
  query(sql: string, params?: unknown[]): Promise<pg.QueryResult>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A database of its own on the run's server; dropped, with its slots, on dispose. Optional DDL to start with. */
export const createDatabase = async (ddl = '', serverUrl = inject('postgresUrl')): Promise<TestDatabase> => {
  const name = `t_${randomBytes(6).toString('hex')}`;
  const admin = new pg.Client(serverUrl);
  await admin.connect();
  await admin.query(`CREATE DATABASE "${name}"`);
  await admin.end();
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const pool = new pg.Pool({connectionString: url.href, max: 5});
  pool.on('error', () => {});
  if (ddl) await pool.query(ddl);
  return {
    url: url.href,
    name,
    appID: `z${name}`,
    pool,
    query: (sql, params) => pool.query(sql, params),
    async [Symbol.asyncDispose]() {
      await pool.end();
      await dropDatabase(serverUrl, name);
    },
  };
};

/** How many connections of ours to the database there are for a purpose. */
export const connections = async (db: TestDatabase, purpose: string): Promise<number> => {
  const {rows} = await db.query(
    `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = $1 AND application_name = $2`,
    [db.name, `zerostream-${purpose}`],
  );
  return rows[0].n;
};

const dropDatabase = async (serverUrl: string, name: string) => {
  const admin = new pg.Client(serverUrl);
  await admin.connect();
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        await admin.query(
          'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active',
          [name],
        );
        await admin.query(
          'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1',
          [name],
        );
        await admin.query(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
        return;
      } catch (error) {
        if (attempt >= 50) throw error;
        await new Promise(resolve => setTimeout(resolve, 100));
      }
    }
  } finally {
    await admin.end();
  }
};
