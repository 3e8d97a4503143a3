import type {Database, Statement} from 'better-sqlite3';
import {LRUCache} from 'lru-cache';
import {ident} from '../pg/identifier.ts';
import {type SqliteValue, VERSION_COLUMN} from '../replica/table-spec.ts';

const MAX_STATEMENTS = 200;
/** Bits that a JavaScript number and SQLite agree on without care. */
const MAX_MASKED = 30;

/**
 * Updates rows of one table. PostgreSQL sends whole rows, whatever changed in them, and SQLite rewrites the entries of an
 * index whenever a statement names one of its columns; so indexed columns are compared first, inside SQLite, and a
 * statement names only those that differ. With seven indexes that is three times faster. Made for one state of the schema.
 */
export class RowUpdater {
  readonly #db: Database;
  readonly #table: string;
  readonly #names: readonly string[];
  readonly #whereKey: string;
  /** Positions of indexed columns outside of the key. */
  readonly #indexed: readonly number[];
  readonly #keyPositions: ReadonlySet<number>;
  readonly #statements = new LRUCache<string, Statement>({max: MAX_STATEMENTS});

  /** @param names columns of the table by the positions that `update` uses. */
  constructor(db: Database, table: string, names: readonly string[], keyNames: readonly string[]) {
    this.#db = db;
    this.#table = table;
    this.#names = names;
    this.#whereKey = keyNames.map(name => `${ident(name)} = ?`).join(' AND ');
    this.#keyPositions = new Set(keyNames.map(name => names.indexOf(name)));
    const indexed = new Set(
      db
        .prepare<[string], string>(
          'SELECT DISTINCT i.name FROM pragma_index_list(?) AS l, pragma_index_info(l.name) AS i WHERE i.name IS NOT NULL',
        )
        .pluck()
        .all(table),
    );
    this.#indexed = names
      .flatMap((name, i) => (indexed.has(name) && !this.#keyPositions.has(i) ? [i] : []))
      .slice(0, MAX_MASKED);
  }

  /**
   * Writes the columns at `written` of `row` and the version. With `sameKey`, the row's key is `key` before and after.
   * @returns false if there is no such row.
   */
  update(
    written: readonly number[],
    row: readonly SqliteValue[],
    version: string,
    key: readonly SqliteValue[],
    sameKey: boolean,
  ): boolean {
    const columns = sameKey ? written.filter(i => !this.#keyPositions.has(i)) : written;
    const compared = this.#indexed.filter(i => columns.includes(i));
    const shape = columns.join();
    if (compared.length === 0)
      return (
        this.#statement(shape, columns, this.#whereKey).run(...columns.map(i => row[i]!), version, ...key)
          .changes > 0
      );
    const found = this.#comparison(compared).get(...compared.map(i => row[i]!), ...key) as
      | [number, number]
      | undefined;
    if (!found) return false;
    const [rowid, differs] = found;
    const same = new Set(compared.filter((_, bit) => !(differs & (1 << bit))));
    const changed = same.size ? columns.filter(i => !same.has(i)) : columns;
    this.#statement(`${shape}/${differs}`, changed, '_rowid_ = ?').run(
      ...changed.map(i => row[i]!),
      version,
      rowid,
    );
    return true;
  }

  #statement(cacheKey: string, columns: readonly number[], where: string): Statement {
    let statement = this.#statements.get(cacheKey);
    if (!statement) {
      // OR REPLACE: a unique index read from the catalog may be ahead of the rows, which then make room for each other.
      const sets = [...columns.map(i => this.#names[i]!), VERSION_COLUMN];
      statement = this.#db.prepare(
        `UPDATE OR REPLACE ${ident(this.#table)} SET ${sets.map(name => `${ident(name)} = ?`).join(', ')} WHERE ${where}`,
      );
      this.#statements.set(cacheKey, statement);
    }
    return statement;
  }

  #comparison(columns: readonly number[]): Statement {
    const cacheKey = `?${columns.join()}`;
    let statement = this.#statements.get(cacheKey);
    if (!statement) {
      const mask = columns.map((i, bit) => `((${ident(this.#names[i]!)} IS NOT ?) << ${bit})`).join(' | ');
      statement = this.#db
        .prepare(`SELECT _rowid_, ${mask} FROM ${ident(this.#table)} WHERE ${this.#whereKey}`)
        .raw();
      this.#statements.set(cacheKey, statement);
    }
    return statement;
  }
}
