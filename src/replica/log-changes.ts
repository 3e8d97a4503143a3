import type {Database, Statement} from 'better-sqlite3';
import type {Version} from '../pg/lsn.ts';
import type {SqliteValue} from './table-spec.ts';
import {valueText} from './value-text.ts';

/** Key of a row as `_zero.changeLog2.rowKey` holds it: JSON with sorted columns; big integers bare. */
export const rowKeyText = (columns: readonly string[], values: readonly SqliteValue[]): string => {
  let text = '{';
  for (let i = 0; i < columns.length; i++) {
    const value = values[i]!;
    text += `${i ? ',' : ''}${JSON.stringify(columns[i])}:${valueText(value)}`;
  }
  return `${text}}`;
};

/**
 * Writes the by-version index of changed rows that workers advance by (replication.md §5.1). At most one entry per row,
 * the latest; `pos` restarts with each version and is negative for entries that concern a whole table.
 */
export class ChangeLogWriter {
  readonly #write: Statement;
  readonly #merge: Statement;
  #version: Version = '';
  #pos = 0;
  #wholePos = -1;

  constructor(db: Database) {
    this.#write = db.prepare(
      `INSERT OR REPLACE INTO "_zero.changeLog2" (stateVersion, pos, "table", rowKey, op) VALUES (?, ?, ?, ?, ?)`,
    );
    this.#merge = db.prepare(
      `INSERT INTO "_zero.changeLog2" (stateVersion, pos, "table", rowKey, op, backfillingColumnVersions)
       VALUES (?, ?, ?, ?, 's', ?) ON CONFLICT ("table", rowKey) DO UPDATE SET stateVersion = excluded.stateVersion,
         pos = excluded.pos, op = 's', backfillingColumnVersions =
           json_patch(backfillingColumnVersions, excluded.backfillingColumnVersions)`,
    );
  }

  begin(version: Version): void {
    if (version !== this.#version) {
      this.#pos = 0;
      this.#wholePos = -1;
    }
    this.#version = version;
  }

  set(table: string, rowKey: string): void {
    this.#write.run(this.#version, this.#pos++, table, rowKey, 's');
  }

  /** Like `set`, noting which of the columns that are being backfilled were written: the backfill leaves those alone. */
  setColumns(table: string, rowKey: string, written: readonly string[]): void {
    const versions = JSON.stringify(Object.fromEntries(written.map(column => [column, this.#version])));
    this.#merge.run(this.#version, this.#pos++, table, rowKey, versions);
  }

  delete(table: string, rowKey: string): void {
    this.#write.run(this.#version, this.#pos++, table, rowKey, 'd');
  }

  truncate(table: string): void {
    this.#write.run(this.#version, this.#wholePos--, table, this.#version, 't');
  }

  reset(table: string): void {
    this.#write.run(this.#version, this.#wholePos--, table, this.#version, 'r');
  }
}
