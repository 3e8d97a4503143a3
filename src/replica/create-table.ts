import type {Database} from 'better-sqlite3';
import {ident} from '../pg/identifier.ts';
import type {Version} from '../pg/lsn.ts';
import {
  liteTableName,
  type PublishedColumn,
  type PublishedIndex,
  type PublishedTable,
} from '../pg/published-schema.ts';
import {codecFor, isArrayType, isEnumType} from '../pg/types.ts';
import {VERSION_COLUMN} from './table-spec.ts';

/**
 * Creates a table and records what its columns and identity are upstream (replication.md §2.5, §2.7). With
 * `defaultVersion`, rows that do not name `_0_version` get it: the bulk path of the initial sync.
 */
export const createTable = (db: Database, table: PublishedTable, defaultVersion?: Version): void => {
  const name = liteTableName(table);
  const columns = table.columns.map(
    column => `${ident(column.name)} ${ident(codecFor(column).declaredType)}`,
  );
  const version = `${ident(VERSION_COLUMN)} "text"${defaultVersion ? ` DEFAULT '${defaultVersion}'` : ''}`;
  db.exec(`CREATE TABLE ${ident(name)} (${[...columns, version].join(', ')})`);
  for (const column of table.columns) recordColumn(db, name, column);
  recordTable(db, table);
};

/** `upstreamMetadata` is ours to read: which relation and which column numbers this table mirrors. */
export const recordTable = (db: Database, table: PublishedTable): void => {
  db.prepare(
    `INSERT INTO "_zero.tableMetadata" ("schema", "table", upstreamMetadata) VALUES (?, ?, ?)
     ON CONFLICT ("schema", "table") DO UPDATE SET upstreamMetadata = excluded.upstreamMetadata`,
  ).run(
    table.schema,
    table.name,
    JSON.stringify({
      schemaOID: table.schemaOid,
      relationOID: table.oid,
      rowKey: Object.fromEntries(
        table.primaryKey.map(key => [key, {attNum: table.columns.find(c => c.name === key)?.pos}]),
      ),
      columns: table.columns,
    }),
  );
};

/** `backfilling`: queries do not see the column yet. */
export const recordColumn = (
  db: Database,
  liteTable: string,
  column: PublishedColumn,
  backfilling = false,
): void => {
  const maxLength =
    column.typmod > 4 && /^(varchar|bpchar)$/.test(column.dataType) ? column.typmod - 4 : null;
  db.prepare(
    `INSERT OR REPLACE INTO "_zero.column_metadata"
       (table_name, column_name, upstream_type, is_not_null, is_enum, is_array, character_max_length,
        backfill)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    liteTable,
    column.name,
    column.dataType,
    column.notNull ? 1 : 0,
    isEnumType(column) ? 1 : 0,
    isArrayType(column) ? 1 : 0,
    maxLength,
    backfilling ? '{}' : null,
  );
};

export const liteIndexName = (index: PublishedIndex): string =>
  liteTableName({schema: index.schema, name: index.name});

export const createIndex = (db: Database, index: PublishedIndex): void => {
  const columns = index.columns.map(column => `${ident(column.name)} ${column.direction}`).join(', ');
  // Rows may break a DEFERRABLE constraint within a transaction; SQLite would refuse or replace them.
  const unique = index.unique && index.isImmediate;
  db.exec(
    `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${ident(liteIndexName(index))}
     ON ${ident(liteTableName({schema: index.schema, name: index.tableName}))} (${columns})`,
  );
};
