import pg from 'pg';
import {ident, literal} from '../pg/identifier.ts';

/** The database of development mode, its owner, and that owner's password: for psql, in the short. */
export const NAME = 'demo';

/** Where it is filled. Having its final name says that it is complete. */
const UNFINISHED = `${NAME}_unfinished`;

/** What the database was filled from. */
export interface Origin {
  /** `demo`, or the path of an SQL file. */
  readonly from: string;
  /** Of the SQL file, to tell when it has changed; empty for the demonstration. */
  readonly hash: string;
}

export interface Filled {
  readonly origin: Origin;
  /** True if this run filled it. */
  readonly fresh: boolean;
}

/** What the owner uses, who is no superuser: with the page's psql line nobody gets at the machine. */
export const ownerUrl = (port: number, database = NAME): string =>
  `postgres://${NAME}:${NAME}@127.0.0.1:${port}/${database}`;

/** What the server uses. */
export const superuserUrl = (port: number, password: string, database = NAME): string =>
  `postgres://postgres:${password}@127.0.0.1:${port}/${database}`;

/**
 * Makes the database unless it is there, and has its owner fill it: under another name until it is full, so that it is
 * never half filled, whatever transactions `fill` makes. @throws whatever `fill` throws; the next start begins again.
 */
export const ensureDatabase = async (
  {port, password}: {readonly port: number; readonly password: string},
  origin: Origin,
  fill: (client: pg.Client) => Promise<void>,
): Promise<Filled> =>
  withClient(superuserUrl(port, password, 'postgres'), async admin => {
    const {rows} = await admin.query<{comment: string | null}>(
      `SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1`,
      [NAME],
    );
    if (rows[0]) return {origin: parseOrigin(rows[0].comment), fresh: false};
    const role = await admin.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [NAME]);
    if (role.rowCount === 0)
      await admin.query(`CREATE ROLE ${ident(NAME)} LOGIN CREATEROLE PASSWORD ${literal(NAME)}`);
    await admin.query(`DROP DATABASE IF EXISTS ${ident(UNFINISHED)} WITH (FORCE)`);
    await admin.query(`CREATE DATABASE ${ident(UNFINISHED)} OWNER ${ident(NAME)}`);
    await admin.query(`COMMENT ON DATABASE ${ident(UNFINISHED)} IS ${literal(JSON.stringify(origin))}`);
    await withClient(ownerUrl(port, UNFINISHED), fill);
    await withClient(superuserUrl(port, password, UNFINISHED), client => client.query('ANALYZE'));
    await admin.query(`ALTER DATABASE ${ident(UNFINISHED)} RENAME TO ${ident(NAME)}`);
    return {origin, fresh: true};
  });

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

/** Somebody may have put a comment of their own there: then it is not known where the rows come from. */
const parseOrigin = (comment: string | null): Origin => {
  try {
    const {from, hash} = JSON.parse(comment ?? '') as Partial<Origin>;
    if (typeof from === 'string' && typeof hash === 'string') return {from, hash};
  } catch {}
  return {from: 'a database of your own', hash: ''};
};
