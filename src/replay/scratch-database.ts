import {randomBytes} from 'node:crypto';
import {FixtureUnusable} from '../errors.ts';
import {connect, describeUrl} from '../pg/connect.ts';
import {ident} from '../pg/identifier.ts';

export interface ScratchDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

/** A database for the view records of a replay, in the given PostgreSQL. Nothing of it needs to outlive a crash. */
export const createScratchDatabase = async (postgres: string): Promise<ScratchDatabase> => {
  const name = `zs_replay_${randomBytes(6).toString('hex')}`;
  const admin = async (...statements: string[]) => {
    const client = await connect(postgres, {purpose: 'replay'});
    try {
      for (const sql of statements) await client.query(sql);
    } catch (cause) {
      const {message} = cause as Error;
      throw new FixtureUnusable(`No database can be made in ${describeUrl(postgres)} (${message}).`, {cause});
    } finally {
      await client.end();
    }
  };
  await admin(`CREATE DATABASE ${ident(name)}`, `ALTER DATABASE ${ident(name)} SET synchronous_commit = off`);
  const url = new URL(postgres);
  url.pathname = `/${name}`;
  return {url: url.href, drop: () => admin(`DROP DATABASE IF EXISTS ${ident(name)} WITH (FORCE)`)};
};
