import type pg from 'pg';
import {UpstreamUnfit} from '../errors.ts';

/** Facts about the server that decide how we use it. */
export interface UpstreamFacts {
  /** `server_version_num`, e.g. 180004. */
  readonly version: number;
  readonly systemIdentifier: string | null;
  /** ms; 0 = off. */
  readonly walSenderTimeoutMs: number;
}

/** @throws UpstreamUnfit with the statement that mends it (replication.md §1.1). */
export const checkUpstream = async (client: pg.Client): Promise<UpstreamFacts> => {
  const {rows} = await client.query<{
    version: string;
    wal_level: string;
    timeout: string;
  }>(`
    SELECT current_setting('server_version_num') AS version, current_setting('wal_level') AS wal_level,
      (SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout') AS timeout`);
  const {version, wal_level, timeout} = rows[0]!;
  if (Number(version) < 150_000)
    throw new UpstreamUnfit(`PostgreSQL 15 or newer is needed; this server reports ${version}.`);
  if (wal_level !== 'logical')
    throw new UpstreamUnfit(
      `wal_level is "${wal_level}" but logical replication needs "logical". Run: ALTER SYSTEM SET wal_level = logical; then restart PostgreSQL.`,
    );
  const identifier = await client
    .query<{id: string}>('SELECT system_identifier::text AS id FROM pg_control_system()')
    .then(
      result => result.rows[0]?.id ?? null,
      () => null, // Some hosted servers hide it.
    );
  return {version: Number(version), systemIdentifier: identifier, walSenderTimeoutMs: Number(timeout)};
};
