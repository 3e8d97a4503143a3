import type {Database} from 'better-sqlite3';
import {connect} from '../../src/pg/connect.ts';
import {copyTable} from '../../src/pg/copy-table.ts';
import {ident} from '../../src/pg/identifier.ts';
import {liteTableName, type PublishedTable} from '../../src/pg/published-schema.ts';
import {readPublishedSchema} from '../../src/pg/read-published-schema.ts';
import {codecFor, isArrayType, isEnumType, storageKind} from '../../src/pg/types.ts';
import {liteIndexName} from '../../src/replica/create-table.ts';
import type {SqliteValue} from '../../src/replica/table-spec.ts';
import type {TestDatabase} from './postgres.ts';
import type {Replicating} from './replicating.ts';

/** What a fresh copy would hold of a table. */
interface TableImage {
  readonly columns: readonly string[];
  readonly rows: readonly string[];
  readonly indexes: readonly string[];
}

const valueText = (value: SqliteValue): string =>
  Buffer.isBuffer(value)
    ? `x${value.toString('hex')}`
    : `${typeof value === 'bigint' ? 'number' : typeof value} ${value}`;

/** Published tables of the app as PostgreSQL has them now, read like an initial sync reads them. */
const upstreamImage = async (db: TestDatabase, publications: readonly string[]) => {
  const client = await connect(db.url, {purpose: 'mirror'});
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const schema = await readPublishedSchema(client, publications);
    const tables = schema.tables.filter(isApps(db));
    const image: Record<string, TableImage> = {};
    for (const table of tables) {
      const rows: string[] = [];
      for await (const chunk of copyTable(client, table))
        for (let at = 0; at < chunk.values.length; at += table.columns.length)
          rows.push(
            chunk.values
              .slice(at, at + table.columns.length)
              .map(valueText)
              .join(' | '),
          );
      image[liteTableName(table)] = {
        columns: table.columns
          .map(
            c => `${c.name} ${c.dataType} ${c.notNull} ${isEnumType(c)} ${isArrayType(c)} ${storageKind(c)}`,
          )
          .sort(),
        rows: rows.sort(),
        indexes: schema.indexes
          .filter(index => index.schema === table.schema && index.tableName === table.name)
          .map(
            i =>
              `${liteIndexName(i)} ${i.unique && i.isImmediate} ${i.columns.map(c => `${c.name} ${c.direction}`).join()}`,
          )
          .sort(),
      };
    }
    return {image, tables};
  } finally {
    await client.end();
  }
};

const isApps = (db: TestDatabase) => (table: {schema: string}) => !table.schema.startsWith(db.appID);

const replicaImage = (replica: Database, tables: readonly PublishedTable[], appID: string) => {
  const names = replica
    .prepare<
      [],
      string
    >(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_zero.%' ESCAPE '\\'
      AND name NOT LIKE 'sqlite%' ORDER BY name`)
    .pluck()
    .all()
    .filter(name => !name.startsWith(appID));
  const image: Record<string, TableImage> = {};
  for (const name of names) {
    const table = tables.find(t => liteTableName(t) === name);
    const metadata = replica
      .prepare(
        `SELECT c.name, m.upstream_type AS type, m.is_not_null AS "notNull", m.is_enum AS "isEnum", m.is_array AS "isArray",
           c.type AS declared FROM pragma_table_info(?) c
         LEFT JOIN "_zero.column_metadata" m ON m.table_name = ? AND m.column_name = c.name AND m.backfill IS NULL
         WHERE c.name <> '_0_version'`,
      )
      .all(name, name) as {
      name: string;
      type: string;
      notNull: number;
      isEnum: number;
      isArray: number;
      declared: string;
    }[];
    const columns = table?.columns.map(column => column.name) ?? [];
    const there = new Set(metadata.map(column => column.name));
    const selected = columns.map(column => (there.has(column) ? ident(column) : `'missing'`)).join(', ');
    const rows = replica
      .prepare(`SELECT ${selected || '1'} FROM ${ident(name)}`)
      .raw()
      .safeIntegers()
      .all() as SqliteValue[][];
    image[name] = {
      columns: metadata
        .map(c => {
          const known = table?.columns.find(column => column.name === c.name);
          // The declared type may be that of an earlier, equally stored type.
          const kind =
            known && sameAffinity(c.declared, codecFor(known).declaredType) ? storageKind(known) : c.declared;
          return `${c.name} ${c.type} ${c.notNull === 1} ${c.isEnum === 1} ${c.isArray === 1} ${kind}`;
        })
        .sort(),
      rows: rows.map(row => row.map(valueText).join(' | ')).sort(),
      indexes: (
        replica
          .prepare(
            `SELECT l.name, l."unique", group_concat(x.name || CASE x."desc" WHEN 1 THEN ' DESC' ELSE ' ASC' END) AS columns
             FROM pragma_index_list(?) l, pragma_index_xinfo(l.name) x WHERE x.key = 1 GROUP BY l.name ORDER BY l.name`,
          )
          .all(name) as {name: string; unique: number; columns: string}[]
      )
        .map(i => `${i.name} ${i.unique === 1} ${i.columns}`)
        .sort(),
    };
  }
  return image;
};

const affinity = (declared: string) =>
  /int/i.test(declared)
    ? 'i'
    : /char|clob|text/i.test(declared)
      ? 't'
      : /real|floa|doub/i.test(declared)
        ? 'r'
        : 'n';
const sameAffinity = (a: string, b: string) => affinity(a) === affinity(b);

/** Waits until the replica's tables, columns, indexes and rows are those of a fresh copy; fails with the difference. */
export const mirrors = async (db: TestDatabase, replica: Replicating): Promise<void> => {
  const publications = JSON.parse(
    String(replica.rows('SELECT publications FROM "_zero.replicationConfig"')[0]![0]),
  ) as string[];
  const {image, tables} = await upstreamImage(db, publications);
  await replica.becomes(() => replica.read(file => replicaImage(file, tables, db.appID)), sorted(image));
};

const sorted = <T>(image: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(image).sort(([a], [b]) => (a < b ? -1 : 1)));
