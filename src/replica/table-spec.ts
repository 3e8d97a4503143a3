import type {Version} from '../pg/lsn.ts';

/** How a column appears to ZQL; decides its wire form (protocol.md §3.6). */
export type ZqlType = 'string' | 'number' | 'boolean' | 'json';

/** What better-sqlite3 reads and binds. Booleans are stored as 0/1, json and arrays as their text. */
export type SqliteValue = null | number | string | bigint | Buffer;

export interface ColumnSpec {
  readonly name: string;
  /** PostgreSQL `typname`; arrays as element name + `[]` per dimension. */
  readonly upstreamType: string;
  /** null: replicated, but without a ZQL type, so never synced. */
  readonly zqlType: ZqlType | null;
  readonly notNull: boolean;
}

/** A table of the replica as queries see it (replication.md §4.6). */
export interface TableSpec {
  /** SQLite name: `issue` for `public.issue`, otherwise `schema.table`. Also the name on the wire. */
  readonly name: string;
  /** In SQLite order, without `_0_version`; columns that are still backfilling are left out. */
  readonly columns: readonly ColumnSpec[];
  /** Unique indexes whose columns are all visible and NOT NULL, shortest first, then by name. Empty: not syncable. */
  readonly keys: readonly (readonly string[])[];
  /** Column lists of all indexes, in index order: what the planner may count on. */
  readonly indexes: readonly {
    readonly name: string;
    readonly unique: boolean;
    readonly columns: readonly string[];
  }[];
  /** Rows with a lower `_0_version` count as changed at this version. */
  readonly minRowVersion: Version;
}

/** The row version column of every replicated table. */
export const VERSION_COLUMN = '_0_version';
