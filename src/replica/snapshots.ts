import type {Database, Statement} from 'better-sqlite3';
import type {Version} from '../pg/lsn.ts';
import {lowerCase} from '../zql/like.ts';
import {openReader} from './open.ts';
import {StatementCache} from './statement-cache.ts';
import type {SqliteValue} from './table-spec.ts';
import {valueText} from './value-text.ts';

/** A read-only view of the replica at one version. Valid until the timeline lets go of it. */
export interface Snapshot {
  readonly version: Version;
  readonly db: Database;
  /** Where statements that count their rows count them: rows looked at by node index. null: nowhere. */
  visits: Map<number, number> | null;
  prepare(sql: string): Statement;
  /** Rows as arrays, one by one; other statements may run in between. Must be run to its end or returned. */
  iterate(sql: string, params: readonly SqliteValue[]): IterableIterator<unknown>;
}

/** A snapshot that stays as it is until it is released. */
export interface Held {
  readonly snapshot: Snapshot;
  release(): void;
}

/**
 * Connections that leapfrog: one stays at the version served, another steps to the head; between the two the changes
 * are computed (replication.md §5.3). Never writes. While idle only one snapshot is held. Whoever needs longer than one
 * turn of the loop holds a snapshot; the timeline goes on beside it.
 */
export class Timeline {
  readonly #file: string;
  readonly #idle: Connection[] = [];
  #current: Connection;
  #peeked: Connection | null = null;

  constructor(file: string) {
    this.#file = file;
    this.#current = new Connection(file);
    this.#current.begin();
  }

  get current(): Snapshot {
    return this.#current;
  }

  /** A snapshot of the head beside the current one. Either `commit` or `abandon` it before the next call. */
  peek(): Snapshot {
    this.#peeked = this.#idle.pop() ?? new Connection(this.#file);
    this.#peeked.begin();
    return this.#peeked;
  }

  /** The peeked snapshot becomes the current one; the old one is let go. */
  commit(): void {
    const old = this.#current;
    this.#current = this.#peeked!;
    this.#peeked = null;
    this.#leave(old);
  }

  abandon(): void {
    const peeked = this.#peeked!;
    this.#peeked = null;
    this.#leave(peeked);
  }

  /** The current snapshot, kept for as long as the caller wants it. */
  hold(): Held {
    const connection = this.#current;
    connection.holds++;
    let held = true;
    return {
      snapshot: connection,
      release: () => {
        if (!held) return;
        held = false;
        connection.holds--;
        if (connection !== this.#current) this.#leave(connection);
      },
    };
  }

  close(): void {
    for (const connection of [this.#current, ...this.#idle]) connection.close();
  }

  #leave(connection: Connection): void {
    if (connection.holds > 0) return;
    connection.end();
    // More than one spare was only needed while others were held.
    if (this.#idle.length < 1) this.#idle.push(connection);
    else connection.close();
  }
}

/** Of a larger file the rest is read as usual. */
const MAPPED_BYTES = 1 << 30;

class Connection implements Snapshot {
  readonly db: Database;
  readonly #statements: StatementCache;
  readonly #iterated: StatementCache;
  readonly #begin: Statement;
  readonly #end: Statement;
  #version: Version = '';
  visits: Map<number, number> | null = null;
  /** How many users need it beyond this turn of the loop. */
  holds = 0;

  constructor(file: string) {
    this.db = openReader(file);
    // Queries look at scattered pages, and every commit empties SQLite's own cache: mapped, a page costs no system call.
    // Halves the time of such queries. The memory is the system's file cache, given back when it is needed elsewhere.
    this.db.pragma(`mmap_size = ${MAPPED_BYTES}`);
    // `LIKE` is case-sensitive in ZQL; stock SQLite's is not (zql.md §1.3).
    this.db.pragma('case_sensitive_like = ON');
    this.db.function('zs_lower', {deterministic: true}, (text: unknown) =>
      typeof text === 'string' ? lowerCase(text) : text,
    );
    this.db.function('zs_number', {deterministic: true}, (value: unknown) => valueText(value));
    // Not deterministic, so that SQLite calls it for each row it looks at.
    this.db.function('zs_visit', (index: unknown) => {
      this.visits?.set(index as number, (this.visits.get(index as number) ?? 0) + 1);
      return 1;
    });
    this.db.function('zs_unsafe', {deterministic: true}, (column: unknown) => {
      throw new RangeError(`a value of ${String(column)} is beyond ±(2^53 − 1)`);
    });
    this.db.function('zs_deep', {deterministic: true}, (column: unknown) => {
      throw new RangeError(
        `a value of ${String(column)} is JSON of more than 1,000 levels, which SQLite does not read`,
      );
    });
    this.#begin = this.db.prepare('BEGIN');
    this.#end = this.db.prepare('COMMIT');
    this.#statements = new StatementCache(this.db);
    this.#iterated = new StatementCache(this.db);
  }

  get version(): Version {
    return this.#version;
  }

  begin(): void {
    this.#begin.run();
    // The read is what pins the snapshot.
    this.#version = this.#statements
      .get('SELECT stateVersion FROM "_zero.replicationState"')
      .pluck()
      .get() as Version;
  }

  end(): void {
    if (this.db.inTransaction) this.#end.run();
  }

  prepare(sql: string): Statement {
    return this.#statements.get(sql);
  }

  iterate(sql: string, params: readonly SqliteValue[]): IterableIterator<unknown> {
    // A statement that is being iterated cannot serve anybody else.
    const statement = this.#iterated.get(sql);
    return (statement.busy ? this.db.prepare(sql) : statement).raw().iterate(params);
  }

  close(): void {
    this.end();
    this.db.close();
  }
}
