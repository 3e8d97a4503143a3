import type pg from 'pg';
import {HIDDEN_PREFIXES} from '../replica/metadata.ts';
import {
  type LeftOutTable,
  liteTableName,
  type PublishedIndex,
  type PublishedSchema,
  type PublishedTable,
} from './published-schema.ts';
import {publishedSchemaSql} from './published-schema-sql.ts';

/** What `publishedSchemaSql` gives. */
export interface RawPublishedSchema {
  readonly tables: readonly (Omit<PublishedTable, 'primaryKey'> & {readonly mixed: boolean})[];
  readonly indexes: readonly (PublishedIndex & {readonly oid: number})[];
}

/**
 * Reads tables, columns and indexes of the publications as one consistent picture (replication.md §1.6). With
 * `filterTexts`, as copying rows needs them, it waits for whoever alters a table that has a row filter.
 */
export const readPublishedSchema = async (
  client: pg.ClientBase,
  publications: readonly string[],
  {filterTexts}: {readonly filterTexts: boolean} = {filterTexts: true},
): Promise<PublishedSchema> => {
  const {rows} = await client.query<{schema: RawPublishedSchema}>(
    `SELECT (${publishedSchemaSql('$1::text[]', filterTexts)}) AS schema`,
    [publications],
  );
  return publishedSchema(rows[0]!.schema);
};

/** Sorts out what cannot be replicated. */
export const publishedSchema = (raw: RawPublishedSchema): PublishedSchema => {
  const tables: PublishedTable[] = [];
  const leftOut: LeftOutTable[] = [];
  const published = new Map<number, Set<string>>();
  const folded = new Set<string>();
  for (const {mixed, ...table} of raw.tables) {
    const name = liteTableName(table).toLowerCase();
    const reason = folded.has(name)
      ? 'its name differs from another table in case only, which SQLite does not tell apart; rename one'
      : unfitness(table, mixed);
    if (reason) {
      leftOut.push({oid: table.oid, schema: table.schema, name: table.name, reason});
      continue;
    }
    folded.add(name);
    const columns = new Set(table.columns.map(column => column.name));
    published.set(table.oid, columns);
    // A DEFERRABLE primary key identifies nothing to PostgreSQL's replication.
    const primary = raw.indexes.find(i => i.oid === table.oid && i.isPrimaryKey && i.isImmediate);
    const key = primary?.columns.map(column => column.name) ?? [];
    tables.push({...table, primaryKey: key.every(name => columns.has(name)) ? key : []});
  }
  return {
    tables,
    indexes: raw.indexes
      .filter(({oid, columns}) => columns.every(column => published.get(oid)?.has(column.name)))
      .map(({oid: _, ...index}) => index),
    leftOut,
  };
};

const unfitness = (table: Omit<PublishedTable, 'primaryKey'>, mixed: boolean): string | null => {
  if (mixed)
    return 'its publications list different columns, which PostgreSQL refuses to stream; give it one column list';
  if (!table.columns.length) return 'none of its columns is published';
  // The letters of the original, whose clients and tools know no others.
  if (!/^[A-Za-z_]+[A-Za-z0-9_-]*$/.test(table.name))
    return 'its name has characters outside letters, digits, _ and -; rename it or take it out of the publication';
  if (HIDDEN_PREFIXES.some(prefix => liteTableName(table).toLowerCase().startsWith(prefix)))
    return `its name begins like those reserved in the replica (${HIDDEN_PREFIXES.join(', ')}); rename it`;
  for (const {name} of table.columns) {
    if (name === '_0_version') return 'its column "_0_version" has a reserved name; rename it';
    if (!/^[A-Za-z_]+[.A-Za-z0-9_-]*$/.test(name))
      return `its column "${name}" has characters outside letters, digits, _, - and dots; rename it`;
  }
  const folded = table.columns.map(column => column.name.toLowerCase());
  const twice = folded.find((name, i) => folded.indexOf(name) !== i);
  return twice === undefined
    ? null
    : `its columns "${twice}" differ in case only, which SQLite does not tell apart; rename one`;
};
