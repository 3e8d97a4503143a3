import type {Database, Statement} from 'better-sqlite3';
import {ident} from '../pg/identifier.ts';
import type {SqliteValue} from './table-spec.ts';

const ROWS_PER_STATEMENT = 50;

/**
 * Bulk insertion for the initial sync: many rows per statement, which saves most of the calls into SQLite. Rows leave
 * out `_0_version`; the column's default fills it. A remainder smaller than a statement waits for `finish`.
 */
export class RowWriter {
  readonly #many: Statement;
  readonly #one: Statement;
  readonly #width: number;
  /** Values of a full statement. */
  readonly #size: number;
  #pending: SqliteValue[] = [];

  /** @param columns at least one; SQLite binds at most 32766 values. */
  constructor(db: Database, table: string, columns: readonly string[]) {
    const row = `(${columns.map(() => '?').join(',')})`;
    const insert = `INSERT INTO ${ident(table)} (${columns.map(ident).join(',')}) VALUES `;
    const rows = Math.max(1, Math.min(ROWS_PER_STATEMENT, Math.floor(32_766 / columns.length)));
    this.#width = columns.length;
    this.#size = rows * columns.length;
    this.#one = db.prepare(insert + row);
    this.#many = db.prepare(insert + Array(rows).fill(row).join(','));
  }

  /** Takes rows as their values one after the other. */
  write(values: readonly SqliteValue[]): void {
    let at = 0;
    if (this.#pending.length) {
      at = Math.min(this.#size - this.#pending.length, values.length);
      for (let i = 0; i < at; i++) this.#pending.push(values[i]!);
      if (this.#pending.length < this.#size) return;
      this.#many.run(this.#pending);
    }
    for (; at + this.#size <= values.length; at += this.#size)
      this.#many.run(values.slice(at, at + this.#size));
    this.#pending = values.slice(at);
  }

  finish(): void {
    for (let at = 0; at < this.#pending.length; at += this.#width)
      this.#one.run(this.#pending.slice(at, at + this.#width));
    this.#pending = [];
  }
}
