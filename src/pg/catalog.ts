import type pg from 'pg';
import {connect} from './connect.ts';
import {type Lsn, parseLsn} from './lsn.ts';
import {type MendedTable, mendIdentities} from './mend-identity.ts';
import type {PublishedSchema} from './published-schema.ts';
import {publishedSchemaSql} from './published-schema-sql.ts';
import {publishedSchema, type RawPublishedSchema} from './read-published-schema.ts';
import {TransactionSnapshot} from './transaction-snapshot.ts';

/** The published schema as a reader saw it. */
export interface CatalogState {
  readonly schema: PublishedSchema;
  readonly snapshot: TransactionSnapshot;
  /** Every transaction that was seen had committed before this position. */
  readonly lsn: Lsn;
}

/** How the replicator looks at upstream's catalog; a replay gives a recorded one. */
export interface CatalogReader {
  /** The schema as it is now, with the effects of transaction `xid` whatever it takes to see them. */
  read(xid: number): Promise<CatalogState>;
}

/** Reads upstream's catalog over one connection of its own, opened when it is needed. */
export class Catalog implements CatalogReader {
  readonly #url: string;
  readonly #publications: readonly string[];
  #client: Promise<pg.Client> | null = null;
  #closed = false;
  #digest = '';

  constructor(url: string, publications: readonly string[]) {
    this.#url = url;
    this.#publications = publications;
  }

  async read(xid: number): Promise<CatalogState> {
    for (;;) {
      const state = await this.#read('');
      // A commit is streamed a moment before other sessions see it; with synchronous standbys a long moment.
      if (state?.snapshot.sees(xid)) return state;
      await new Promise(resolve => setTimeout(resolve, 20));
    }
  }

  /** The schema if it differs from what the last call saw, else null. */
  async readIfChanged(): Promise<CatalogState | null> {
    return this.#read(this.#digest);
  }

  /** Gives tables an identity that lack one (`mendIdentities`). */
  async mend(schema: PublishedSchema): Promise<MendedTable[]> {
    return mendIdentities(await this.#connected(), schema);
  }

  /** The next `readIfChanged` gives the schema whatever it is. */
  forget(): void {
    this.#digest = '';
  }

  /** For good: who is still waiting for a transaction to be seen is told that nobody looks any more. */
  close(): void {
    this.#closed = true;
    this.#disconnect();
  }

  #connected(): Promise<pg.Client> {
    if (this.#closed) throw new Error('The catalog is not read any more.');
    this.#client ??= connect(this.#url, {purpose: 'schema'});
    return this.#client;
  }

  #disconnect(): void {
    void this.#client?.then(
      client => client.end().catch(() => {}),
      () => {},
    );
    this.#client = null;
  }

  async #read(known: string): Promise<CatalogState | null> {
    try {
      const client = await this.#connected();
      // One statement, one snapshot; the position is read after it was taken.
      const {rows} = await client.query<{
        schema: RawPublishedSchema | null;
        digest: string;
        snapshot: string;
      }>(
        `SELECT CASE WHEN md5(s.schema::text) <> $2 THEN s.schema END AS schema, md5(s.schema::text) AS digest,
           pg_current_snapshot()::text AS snapshot
         FROM (${publishedSchemaSql('$1::text[]', false)}) AS s(schema)`,
        [this.#publications, known],
      );
      const row = rows[0]!;
      if (!row.schema) return null;
      const position = await client.query<{lsn: string}>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
      this.#digest = row.digest;
      return {
        schema: publishedSchema(row.schema),
        snapshot: new TransactionSnapshot(row.snapshot),
        lsn: parseLsn(position.rows[0]!.lsn),
      };
    } catch (error) {
      this.#disconnect();
      throw error;
    }
  }
}
