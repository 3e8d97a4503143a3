import {BadMutation} from '../errors.ts';
import {ident} from '../pg/identifier.ts';
import type {Queryable} from '../pg/queryable.ts';

export interface UpstreamColumn {
  /** `format_type`: what a parameter is cast to. */
  readonly sqlType: string;
  readonly typname: string;
  readonly isArray: boolean;
  readonly isEnum: boolean;
}

export interface UpstreamTable {
  /** Quoted, with its schema. */
  readonly sql: string;
  readonly name: string;
  readonly columns: ReadonlyMap<string, UpstreamColumn>;
}

/** Reads each table's columns once; `forget` after an error that a schema change explains. */
export class UpstreamTables {
  readonly #tables = new Map<string, UpstreamTable>();

  forget(): void {
    this.#tables.clear();
  }

  /** @throws BadMutation if there is no such table. */
  async get(client: Queryable, name: string): Promise<UpstreamTable> {
    const known = this.#tables.get(name);
    if (known) return known;
    const dot = name.indexOf('.');
    const [schema, table] = dot < 0 ? ['public', name] : [name.slice(0, dot), name.slice(dot + 1)];
    const {rows} = await client.query<UpstreamColumn & {name: string}>(
      `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS "sqlType",
         CASE WHEN t.typcategory = 'A' THEN e.typname ELSE t.typname END AS typname,
         t.typcategory = 'A' AS "isArray", COALESCE(e.typtype, t.typtype) = 'e' AS "isEnum"
       FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_type t ON t.oid = a.atttypid
       LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
       WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped`,
      [schema, table],
    );
    if (rows.length === 0) throw new BadMutation(`Table '${name}' is not a valid table.`);
    const found = {
      sql: `${ident(schema!)}.${ident(table!)}`,
      name,
      columns: new Map(rows.map(row => [row.name, row])),
    };
    this.#tables.set(name, found);
    return found;
  }
}

/** @throws BadMutation */
export const upstreamColumn = (table: UpstreamTable, name: string): UpstreamColumn => {
  const column = table.columns.get(name);
  if (!column) throw new BadMutation(`Table '${table.name}' has no column '${name}'.`);
  return column;
};
