import type {Database, Statement} from 'better-sqlite3';
import {LRUCache} from 'lru-cache';

/** Prepared statements by text. Callers set the mode (raw, pluck) at each use, since it sticks to the statement. */
export class StatementCache {
  readonly #db: Database;
  readonly #cache = new LRUCache<string, Statement>({max: 1000});

  constructor(db: Database) {
    this.#db = db;
  }

  get(sql: string): Statement {
    let statement = this.#cache.get(sql);
    if (!statement) {
      statement = this.#db.prepare(sql);
      this.#cache.set(sql, statement);
    }
    return statement;
  }
}
