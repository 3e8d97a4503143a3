import type pg from 'pg';
import {ident} from '../pg/identifier.ts';
import {demoRows} from './demo-rows.ts';
import {DEMO_DDL, DEMO_INDEXES} from './demo-schema.ts';

/** Tables, rows, indexes; one statement for each table's rows. */
export const fillDemo = async (client: pg.Client): Promise<void> => {
  await client.query(DEMO_DDL);
  for (const [table, rows] of demoRows(Date.now())) {
    const columns = Object.keys(rows[0]!).map(ident).join(', ');
    await client.query(
      `INSERT INTO ${ident(table)} (${columns}) SELECT ${columns} FROM json_populate_recordset(NULL::${ident(table)}, $1)`,
      [JSON.stringify(rows)],
    );
  }
  await client.query(DEMO_INDEXES);
  await client.query(`SELECT setval(pg_get_serial_sequence('issue', 'num'), (SELECT max(num) FROM issue))`);
};
