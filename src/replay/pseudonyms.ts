import type {Statement} from 'better-sqlite3';
import {LRUCache} from 'lru-cache';
import Database from '../replica/sqlite.ts';

/**
 * Replaces strings by their rank among all strings given: equal ones stay equal, and the order by bytes, in which SQLite
 * and ZQL compare, stays the same. Nothing else of them is kept. The empty string stays empty. Strings are collected in
 * a file, so memory is bounded however many there are.
 */
export class Pseudonyms {
  readonly #db: Database;
  readonly #add: Statement;
  readonly #cache = new LRUCache<string, string>({
    max: 50_000,
    maxSize: 16_000_000,
    sizeCalculation: (v, k) => v.length + k.length,
  });
  #find: Statement | null = null;
  #width = 0;

  /** @param file is created; whoever gives it removes it. */
  constructor(file: string) {
    this.#db = new Database(file);
    this.#db.pragma('journal_mode = OFF');
    this.#db.pragma('synchronous = OFF');
    this.#db.exec('CREATE TABLE word (text BLOB PRIMARY KEY, rank INTEGER) WITHOUT ROWID; BEGIN');
    this.#add = this.#db.prepare('INSERT OR IGNORE INTO word (text) VALUES (?)');
  }

  /** First pass. */
  collect(word: string): void {
    if (word === '' || this.#cache.has(word)) return;
    this.#add.run(Buffer.from(word));
    this.#cache.set(word, 'collected');
  }

  /** Between the passes: no string is added after this. */
  seal(): void {
    this.#cache.clear();
    this.#db.exec(`CREATE TABLE ranked (text BLOB PRIMARY KEY, rank INTEGER) WITHOUT ROWID;
      INSERT INTO ranked SELECT text, row_number() OVER (ORDER BY text) FROM word; DROP TABLE word; COMMIT`);
    const count = this.#db.prepare('SELECT count(*) FROM ranked').pluck().get() as number;
    this.#width = count.toString(36).length;
    this.#find = this.#db.prepare('SELECT rank FROM ranked WHERE text = ?').pluck();
  }

  /** Second pass. */
  of(word: string): string {
    if (word === '') return '';
    let name = this.#cache.get(word);
    if (name === undefined) {
      const rank = this.#find!.get(Buffer.from(word)) as number;
      name = `r${rank.toString(36).padStart(this.#width, '0')}`;
      this.#cache.set(word, name);
    }
    return name;
  }

  close(): void {
    this.#db.close();
  }
}
