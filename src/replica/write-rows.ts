import type {Database, Statement} from 'better-sqlite3';
import {ident} from '../pg/identifier.ts';
import type {SqliteValue} from './table-spec.ts';

const ROWS_PER_STATEMENT = 50;

/**
 * Bulk insertion for the initial sync: many rows per statement, which saves most of the calls into SQLite. Rows leave
 * out `_0_version`; the column's default fills it.
 */
export class RowWriter {
  readonly #many: Statement;
  readonly #one: Statement;
  readonly #rowsPerStatement: number;

  constructor(db: Database, table: string, columns: readonly string[]) {
    const row = `(${columns.map(() => '?').join(',')})`;
    const insert = columns.length
      ? `INSERT INTO ${ident(table)} (${columns.map(ident).join(',')}) VALUES `
      : `INSERT INTO ${ident(table)} DEFAULT VALUES`;
    // SQLite binds at most 32766 parameters; a table without columns takes single statements.
    this.#rowsPerStatement = columns.length
      ? Math.min(ROWS_PER_STATEMENT, Math.floor(32_766 / columns.length))
      : 1;
    this.#one = db.prepare(columns.length ? insert + row : insert);
    this.#many =
      this.#rowsPerStatement > 1
        ? db.prepare(insert + Array(this.#rowsPerStatement).fill(row).join(','))
        : this.#one;
  }

  write(rows: readonly (readonly SqliteValue[])[]): void {
    const size = this.#rowsPerStatement;
    let at = 0;
    for (; size > 1 && at + size <= rows.length; at += size) {
      const flat: SqliteValue[] = [];
      for (let i = at; i < at + size; i++) for (const value of rows[i]!) flat.push(value);
      this.#many.run(flat);
    }
    for (; at < rows.length; at++) this.#one.run(rows[at]!);
  }
}
