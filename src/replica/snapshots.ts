import type {Database, Statement} from 'better-sqlite3';
import type {Version} from '../pg/lsn.ts';
import {openReader} from './open.ts';
import {StatementCache} from './statement-cache.ts';

/** A read-only view of the replica at one version. Valid until the timeline lets go of it. */
export interface Snapshot {
  readonly version: Version;
  readonly db: Database;
  prepare(sql: string): Statement;
}

/**
 * Two connections that leapfrog: one stays at the version served, the other steps to the head; between the two the
 * changes are computed (replication.md §5.3). Never writes. While idle only one snapshot is held.
 */
export class Timeline {
  readonly #connections: readonly [Connection, Connection];
  #current: Connection;

  constructor(file: string) {
    this.#connections = [new Connection(file), new Connection(file)];
    this.#current = this.#connections[0];
    this.#current.begin();
  }

  get current(): Snapshot {
    return this.#current;
  }

  /** A snapshot of the head beside the current one. Either `commit` or `abandon` it before the next call. */
  peek(): Snapshot {
    const other = this.#other();
    other.begin();
    return other;
  }

  /** The peeked snapshot becomes the current one; the old one is let go. */
  commit(): void {
    const old = this.#current;
    this.#current = this.#other();
    old.end();
  }

  abandon(): void {
    this.#other().end();
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  #other(): Connection {
    return this.#current === this.#connections[0] ? this.#connections[1] : this.#connections[0];
  }
}

class Connection implements Snapshot {
  readonly db: Database;
  readonly #statements: StatementCache;
  #version: Version = '';

  constructor(file: string) {
    this.db = openReader(file);
    // `LIKE` is case-sensitive in ZQL; stock SQLite's is not (zql.md §1.3).
    this.db.pragma('case_sensitive_like = ON');
    this.db.function('zs_lower', {deterministic: true}, (text: unknown) =>
      typeof text === 'string' ? text.toLowerCase() : text,
    );
    this.db.function('zs_number', {deterministic: true}, (value: unknown) => JSON.stringify(value ?? null));
    this.db.function('zs_unsafe', {deterministic: true}, (column: unknown) => {
      throw new RangeError(`a value of ${String(column)} is beyond ±(2^53 − 1)`);
    });
    this.#statements = new StatementCache(this.db);
  }

  get version(): Version {
    return this.#version;
  }

  begin(): void {
    this.db.exec('BEGIN');
    // The read is what pins the snapshot.
    this.#version = this.#statements
      .get('SELECT stateVersion FROM "_zero.replicationState"')
      .pluck()
      .get() as Version;
  }

  end(): void {
    if (this.db.inTransaction) this.db.exec('COMMIT');
  }

  prepare(sql: string): Statement {
    return this.#statements.get(sql);
  }

  close(): void {
    this.end();
    this.db.close();
  }
}
