import type {Database} from 'better-sqlite3';
import * as z from 'zod';
import {FixtureUnusable} from '../errors.ts';
import type {Version} from '../pg/lsn.ts';
import {liteTableName, type PublishedSchema} from '../pg/published-schema.ts';
import {codecFor} from '../pg/types.ts';
import {createIndex, createTable} from '../replica/create-table.ts';
import {createMetadataTables, initReplicaState} from '../replica/metadata.ts';
import {openWriter} from '../replica/open.ts';
import {storeSchema} from '../replica/stored-schema.ts';
import type {SyncContext} from '../replica/sync-context.ts';
import type {SqliteValue} from '../replica/table-spec.ts';
import {RowWriter} from '../replica/write-rows.ts';

/** A row of the snapshot: PostgreSQL's text of each published column in schema order, null for NULL. */
export interface SnapshotRow {
  /** As in SQLite: `issue`, or `schema.table`. */
  readonly table: string;
  readonly row: readonly (string | null)[];
}

const snapshotRow = z.object({table: z.string(), row: z.array(z.string().nullable())});

/** @throws ZodError if `value` is something else. */
export const parseSnapshotRow = (value: unknown): SnapshotRow => snapshotRow.parse(value);

const CONTEXT: SyncContext = {slot: 'fixture', replicaID: '0', systemIdentifier: null};
const VALUES_AT_ONCE = 10_000;

/**
 * Builds in `file` what an initial sync of this schema and these rows would leave. @throws FixtureUnusable if a row does
 * not fit the schema.
 */
export const buildReplica = async (
  file: string,
  snapshot: {
    readonly schema: PublishedSchema;
    readonly replicaVersion: Version;
    readonly publications: readonly string[];
    readonly rows: AsyncIterable<SnapshotRow> | Iterable<SnapshotRow>;
  },
): Promise<Database> => {
  const db = openForLoading(file);
  try {
    db.exec('BEGIN');
    createMetadataTables(db);
    initReplicaState(db, snapshot.replicaVersion, snapshot.publications, CONTEXT);
    const tables = new Map<string, TableLoader>();
    for (const table of snapshot.schema.tables) {
      createTable(db, table, snapshot.replicaVersion);
      tables.set(liteTableName(table), new TableLoader(db, table));
    }
    storeSchema(db, snapshot.schema);
    for await (const {table, row} of snapshot.rows) {
      const loader = tables.get(table);
      if (!loader?.add(row))
        throw new FixtureUnusable(`A snapshot row of table ${table} does not fit the schema.`);
    }
    for (const loader of tables.values()) loader.flush();
    for (const index of snapshot.schema.indexes) createIndex(db, index);
    loaded(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
};

class TableLoader {
  /** null for a table without columns, whose rows have nothing to write. */
  readonly #writer: RowWriter | null;
  readonly #decode: readonly ((text: string) => SqliteValue)[];
  #values: SqliteValue[] = [];

  constructor(db: Database, table: PublishedSchema['tables'][number]) {
    const columns = table.columns.map(column => column.name);
    this.#writer = columns.length ? new RowWriter(db, liteTableName(table), columns) : null;
    this.#decode = table.columns.map(column => codecFor(column).fromText);
  }

  /** False if the row has another width. */
  add(row: SnapshotRow['row']): boolean {
    if (row.length !== this.#decode.length) return false;
    row.forEach((text, i) => this.#values.push(text === null ? null : this.#decode[i]!(text)));
    if (this.#values.length >= VALUES_AT_ONCE) this.#write();
    return true;
  }

  flush(): void {
    this.#write();
    this.#writer?.finish();
  }

  #write(): void {
    this.#writer?.write(this.#values);
    this.#values = [];
  }
}

/** A writer of a file that is thrown away if it is not completed: nothing of it is journaled. */
export const openForLoading = (file: string): Database => {
  const db = openWriter(file);
  db.pragma('journal_mode = OFF');
  db.pragma('synchronous = OFF');
  return db;
};

/** Commits what was loaded and goes on as the server does. */
export const loaded = (db: Database): void => {
  db.exec('COMMIT');
  db.exec('ANALYZE');
  db.pragma('journal_mode = WAL');
};
