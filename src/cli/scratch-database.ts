import {randomBytes} from 'node:crypto';
import pg from 'pg';
import {ident} from '../pg/identifier.ts';

export interface ScratchDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

/** A database for the view records of a replay, in the given PostgreSQL. Nothing of it needs to outlive a crash. */
export const createScratchDatabase = async (postgres: string): Promise<ScratchDatabase> => {
  const name = `zs_session_${randomBytes(6).toString('hex')}`;
  const admin = async (...statements: string[]) => {
    const client = new pg.Client(postgres);
    await client.connect();
    try {
      for (const sql of statements) await client.query(sql);
    } finally {
      await client.end();
    }
  };
  await admin(`CREATE DATABASE ${ident(name)}`, `ALTER DATABASE ${ident(name)} SET synchronous_commit = off`);
  const url = new URL(postgres);
  url.pathname = `/${name}`;
  return {url: url.href, drop: () => admin(`DROP DATABASE IF EXISTS ${ident(name)} WITH (FORCE)`)};
};
