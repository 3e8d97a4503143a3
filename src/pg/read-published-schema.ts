import type pg from 'pg';
import {UnsupportedTable} from '../errors.ts';
import type {PublishedColumn, PublishedIndex, PublishedSchema, PublishedTable} from './published-schema.ts';

interface TableRow {
  oid: number;
  schemaOid: number;
  schema: string;
  name: string;
  replicaIdentity: PublishedTable['replicaIdentity'];
  publication: string;
  rowFilter: string | null;
  columns: string[];
}

/**
 * Reads tables, columns and indexes of the publications as one consistent picture (replication.md §1.6): run it inside a
 * snapshot. @throws UnsupportedTable if a table cannot be replicated, naming it.
 */
export const readPublishedSchema = async (
  client: pg.Client,
  publications: readonly string[],
): Promise<PublishedSchema> => {
  const tableRows = (await client.query<TableRow>(TABLES, [publications])).rows;
  const columnRows = (await client.query<PublishedColumn & {oid: number}>(COLUMNS, [publications])).rows;
  const indexRows = (
    await client.query<PublishedIndex & {oid: number; columnNames: string[]; options: number[]}>(INDEXES, [
      publications,
    ])
  ).rows;

  const tables = new Map<
    number,
    PublishedTable & {publications: Record<string, {rowFilter: string | null}>}
  >();
  const published = new Map<number, Set<string>>();
  for (const row of tableRows) {
    const known = tables.get(row.oid);
    if (known) {
      if (row.columns.length !== published.get(row.oid)!.size)
        throw new UnsupportedTable(
          `Table ${row.schema}.${row.name} has different columns in its publications.`,
        );
      known.publications[row.publication] = {rowFilter: row.rowFilter};
      continue;
    }
    const names = new Set(row.columns);
    published.set(row.oid, names);
    const primary = indexRows.find(index => index.oid === row.oid && index.isPrimaryKey);
    tables.set(row.oid, {
      oid: row.oid,
      schemaOid: row.schemaOid,
      schema: row.schema,
      name: row.name,
      replicaIdentity: row.replicaIdentity,
      columns: columnRows
        .filter(c => c.oid === row.oid && names.has(c.name))
        .map(({oid: _, ...column}) => column),
      primaryKey: primary?.columnNames.every(name => names.has(name)) ? primary.columnNames : [],
      publications: {[row.publication]: {rowFilter: row.rowFilter}},
    });
  }
  const indexes = indexRows
    .filter(
      index => tables.has(index.oid) && index.columnNames.every(name => published.get(index.oid)!.has(name)),
    )
    .map(
      (row): PublishedIndex => ({
        schema: row.schema,
        tableName: row.tableName,
        name: row.name,
        unique: row.unique,
        isPrimaryKey: row.isPrimaryKey,
        isReplicaIdentity: row.isReplicaIdentity,
        isImmediate: row.isImmediate,
        columns: row.columnNames.map((name, i) => ({name, direction: row.options[i]! & 1 ? 'DESC' : 'ASC'})),
      }),
    );
  const schema = {tables: [...tables.values()], indexes};
  schema.tables.forEach(validate);
  return schema;
};

const validate = (table: PublishedTable) => {
  const where = `Table "${table.schema}"."${table.name}"`;
  if (!/^[A-Za-z_]+[A-Za-z0-9_-]*$/.test(table.name))
    throw new UnsupportedTable(
      `${where} has a name outside letters, digits, _ and -. Rename it or leave it out of the publication.`,
    );
  if (table.replicaIdentity === 'n')
    throw new UnsupportedTable(
      `${where} has REPLICA IDENTITY NOTHING. Run: ALTER TABLE … REPLICA IDENTITY DEFAULT.`,
    );
  for (const {name} of table.columns) {
    if (name === '_0_version')
      throw new UnsupportedTable(`${where} has a column "_0_version", a reserved name.`);
    if (!/^[A-Za-z_]+[.A-Za-z0-9_-]*$/.test(name))
      throw new UnsupportedTable(`${where} has a column "${name}", outside letters, digits, _, - and dots.`);
  }
};

const TABLES = `
  SELECT c.oid::int8::int AS oid, n.oid::int8::int AS "schemaOid", n.nspname AS schema, c.relname AS name,
    c.relreplident AS "replicaIdentity", p.pubname AS publication, p.rowfilter AS "rowFilter",
    p.attnames::text[] AS columns
  FROM pg_publication_tables p
  JOIN pg_namespace n ON n.nspname = p.schemaname
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
  WHERE p.pubname = ANY($1)
  ORDER BY n.nspname, c.relname, p.pubname`;

const PUBLISHED = `
  SELECT DISTINCT c.oid FROM pg_publication_tables p
  JOIN pg_namespace n ON n.nspname = p.schemaname
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
  WHERE p.pubname = ANY($1)`;

const COLUMNS = `
  SELECT a.attrelid::int8::int AS oid, a.attname AS name, a.attnum AS pos, a.atttypid::int8::int AS "typeOid", a.atttypmod AS typmod,
    CASE WHEN t.typelem <> 0 AND t.typcategory = 'A'
      THEN e.typname || repeat('[]', GREATEST(a.attndims, 1)) ELSE t.typname::text END AS "dataType",
    t.typtype AS "typeClass",
    CASE WHEN t.typelem <> 0 AND t.typcategory = 'A' THEN e.typtype END AS "elementClass",
    a.attnotnull AS "notNull", pg_get_expr(d.adbin, d.adrelid) AS dflt
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_type e ON e.oid = t.typelem
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attrelid IN (${PUBLISHED}) AND a.attnum > 0 AND NOT a.attisdropped
    -- PostgreSQL 15 lists generated columns in a publication although it does not stream them.
    AND (a.attgenerated = '' OR current_setting('server_version_num')::int >= 160000)
  ORDER BY a.attrelid, a.attnum`;

const INDEXES = `
  SELECT i.indrelid::int8::int AS oid, n.nspname AS schema, c.relname AS "tableName", ic.relname AS name,
    i.indisunique AS "unique", i.indisprimary AS "isPrimaryKey", i.indisreplident AS "isReplicaIdentity",
    i.indimmediate AS "isImmediate",
    (SELECT array_agg(a.attname::text ORDER BY k.ord) FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, ord)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.ord <= i.indnkeyatts) AS "columnNames",
    i.indoption::int2[] AS options
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class ic ON ic.oid = i.indexrelid
  LEFT JOIN pg_constraint con ON con.conindid = i.indexrelid
  WHERE i.indrelid IN (${PUBLISHED}) AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid
    AND (con.contype IS NULL OR con.contype IN ('p', 'u', 'f'))
  GROUP BY i.indexrelid, i.indrelid, n.nspname, c.relname, ic.relname, i.indisunique, i.indisprimary,
    i.indisreplident, i.indimmediate, i.indkey, i.indnkeyatts, i.indoption
  ORDER BY n.nspname, c.relname, i.indisprimary DESC, ic.relname`;
