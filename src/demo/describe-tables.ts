import type pg from 'pg';
import {liteTableName, rowKeys} from '../pg/published-schema.ts';
import {readPublishedSchema} from '../pg/read-published-schema.ts';
import {codecFor} from '../pg/types.ts';
import type {PageTable} from './page-facts.ts';

/** The tables that clients can have, as their schema would name them; without a key or of an unfit name they cannot. */
export const describeTables = async (
  client: pg.Client,
  publications: readonly string[],
): Promise<readonly PageTable[]> => {
  const schema = await readPublishedSchema(client, publications);
  return schema.tables
    .map(table => ({
      name: liteTableName(table),
      key: table.primaryKey.length > 0 ? table.primaryKey : (rowKeys(schema, table)[0] ?? []),
      columns: table.columns.flatMap(column => {
        const type = codecFor(column).zqlType;
        return type ? [{name: column.name, type, optional: !column.notNull, dataType: column.dataType}] : [];
      }),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
};
