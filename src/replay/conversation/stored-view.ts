import type pg from 'pg';
import {cvrSchema} from '../../cvr/schema.ts';
import {ident, literal} from '../../pg/identifier.ts';

/** In an order in which references are met. */
const TABLES = [
  'instances',
  'clients',
  'queries',
  'desires',
  'rowsVersion',
  'rows',
  'zerostreamJournal',
  'zerostreamRowSets',
];
const PORTION = 1000;

export interface StoredRows {
  readonly table: string;
  readonly rows: readonly Record<string, unknown>[];
}

/** The view record of a group as PostgreSQL has it, in portions; nothing of a group that has none. */
export async function* storedView(pool: pg.Pool, shard: string, group: string): AsyncGenerator<StoredRows> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    for (const table of TABLES) {
      await client.query(
        `DECLARE stored CURSOR FOR SELECT to_json(t) AS row FROM ${cvrSchema(shard)}.${ident(table)} t
         WHERE "clientGroupID" = ${literal(group)}`,
      );
      for (;;) {
        const {rows} = await client.query<{row: Record<string, unknown>}>(`FETCH ${PORTION} FROM stored`);
        if (rows.length) yield {table, rows: rows.map(({row}) => row)};
        if (rows.length < PORTION) break;
      }
      await client.query('CLOSE stored');
    }
  } finally {
    await client.query('ROLLBACK').catch(() => {});
    client.release();
  }
}

/** Puts rows of a view record where they were. */
export const storeView = async (pool: pg.Pool, shard: string, {table, rows}: StoredRows): Promise<void> => {
  const name = `${cvrSchema(shard)}.${ident(table)}`;
  await pool.query(
    `INSERT INTO ${name} SELECT * FROM json_populate_recordset(NULL::${name}, $1) ON CONFLICT DO NOTHING`,
    [JSON.stringify(rows)],
  );
};
