import pg from 'pg';
import {DevelopmentImpossible} from '../errors.ts';
import {ident, literal} from '../pg/identifier.ts';

/** The database of development mode, its owner, and that owner's password: for psql, in the short. */
export const NAME = 'demo';

/** What the database was filled from. */
export interface Origin {
  /** `demo`, or the path of an SQL file. */
  readonly from: string;
  /** Of the SQL file, to tell when it has changed; empty for the demonstration. */
  readonly hash: string;
}

export interface Filled {
  readonly origin: Origin;
  readonly tables: number;
  readonly rows: number;
  /** True if this run filled it. */
  readonly fresh: boolean;
}

/** What the owner uses, who is no superuser: with the page's psql line nobody gets at the machine. */
export const ownerUrl = (port: number): string => `postgres://${NAME}:${NAME}@127.0.0.1:${port}/${NAME}`;

/** What the server uses. */
export const superuserUrl = (port: number, password: string): string =>
  `postgres://postgres:${password}@127.0.0.1:${port}/${NAME}`;

/**
 * Makes the database unless it is there, and fills it in one transaction, so that it is never half filled.
 * @throws whatever `fill` throws, with nothing filled.
 */
export const ensureDatabase = async (
  url: string,
  origin: Origin,
  fill: (client: pg.Client) => Promise<void>,
): Promise<Filled> => {
  const server = new URL(url);
  server.pathname = '/postgres';
  await withClient(server.href, async client => {
    const role = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [NAME]);
    if (role.rowCount === 0) await client.query(`CREATE ROLE ${ident(NAME)} LOGIN PASSWORD ${literal(NAME)}`);
    const database = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [NAME]);
    if (database.rowCount === 0) await client.query(`CREATE DATABASE ${ident(NAME)} OWNER ${ident(NAME)}`);
  });
  return withClient(url, async client => {
    const before = await originOf(client);
    if (!before) {
      await client.query(`BEGIN; SET LOCAL ROLE ${ident(NAME)}`);
      try {
        await fill(client);
        await client.query(
          `COMMENT ON DATABASE ${ident(NAME)} IS ${literal(JSON.stringify(origin))}; COMMIT`,
        );
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {});
        throw error;
      }
      await client.query('ANALYZE');
    }
    return {origin: before ?? origin, fresh: !before, ...(await countRows(client))};
  });
};

/** Opens one connection for the time of `work`. */
export const withClient = async <T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> => {
  const client = new pg.Client({connectionString: url});
  client.on('error', () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
};

const originOf = async (client: pg.Client): Promise<Origin | null> => {
  const {rows} = await client.query<{comment: string | null}>(
    `SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = current_database()`,
  );
  const comment = rows[0]?.comment;
  if (!comment) return null;
  try {
    const {from, hash} = JSON.parse(comment) as Partial<Origin>;
    if (typeof from === 'string' && typeof hash === 'string') return {from, hash};
  } catch {}
  throw new DevelopmentImpossible(
    'The comment on the development database was changed; zerostream keeps there what the database was filled from. Begin anew with zerostream dev --reset.',
  );
};

/** Estimates are exact after ANALYZE, and near enough later. */
const countRows = async (client: pg.Client): Promise<{tables: number; rows: number}> => {
  const {rows} = await client.query<{tables: number; rows: number}>(
    `SELECT count(*)::int AS tables, coalesce(sum(greatest(c.reltuples, 0)), 0)::int AS rows
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')`,
  );
  return rows[0]!;
};
