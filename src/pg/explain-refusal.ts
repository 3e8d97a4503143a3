import type pg from 'pg';
import {UpstreamUnfit} from '../errors.ts';
import {ident, literal} from './identifier.ts';

/** What the refused role was going to do with the database, beyond creating schemas. */
export interface Purposes {
  readonly replicates?: boolean;
  /** The publication of schema `public` that it was going to create unless it was there. */
  readonly publishes?: string | undefined;
}

/**
 * Turns a refusal (42501) into a message with every grant that the role lacks, not only the first. Judged after a refusal and
 * not before: hosted servers have ways of their own to permit things. `client` is not in a failed transaction.
 */
export const explainRefusal = async (
  error: unknown,
  what: string,
  client: pg.Client | pg.Pool,
  purposes: Purposes = {},
): Promise<unknown> => {
  const {code, message} = error as {code?: string; message?: string};
  if (code !== '42501') return error;
  const statements = await lacking(client, purposes).catch(() => []);
  const remedy =
    statements.length > 0
      ? `Let a superuser run: ${statements.join(' ')}`
      : 'What it needs may belong to another role: connect as that one, or choose another ZERO_APP_ID.';
  return new UpstreamUnfit(`The role may not ${what} (${message}). ${remedy}`, {cause: error});
};

const lacking = async (
  client: pg.Client | pg.Pool,
  {replicates = false, publishes}: Purposes,
): Promise<readonly string[]> => {
  const {rows} = await client.query<
    Record<'role' | 'db', string> & Record<'all' | 'wal' | 'make' | 'has', boolean>
  >(`
    SELECT rolname AS role, current_database() AS db, rolsuper AS all, rolreplication AS wal,
      has_database_privilege(current_database(), 'CREATE') AS make,
      EXISTS (SELECT FROM pg_publication WHERE pubname = ${literal(publishes ?? '')}) AS has
    FROM pg_roles WHERE rolname = current_user`);
  const [{role, db, all, wal, make, has}] = rows as [(typeof rows)[number]];
  if (all) return [];
  return [
    ...(replicates && !wal ? [`ALTER ROLE ${ident(role)} REPLICATION;`] : []),
    ...(make ? [] : [`GRANT CREATE ON DATABASE ${ident(db)} TO ${ident(role)};`]),
    ...(publishes && !has
      ? [
          'CREATE PUBLICATION zero_tables FOR TABLES IN SCHEMA public; and set ZERO_APP_PUBLICATIONS=zero_tables.',
        ]
      : []),
  ];
};
