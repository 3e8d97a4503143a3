import type pg from 'pg';
import type {Log} from '../observe/log.ts';
import {asGroupFault} from './fault.ts';
import {cvrStatements} from './statements.ts';

/** Rows written in one transaction, about. */
const MAX_ROWS = 20_000;
/** What clients wait for goes first, for so long at most. */
const DELAY_MS = 50;
const PATIENCE_MS = 1000;
const RETRY_MS = 1000;
const DRAIN_MS = 2000;
const UNIQUE_VIOLATION = '23505';

/**
 * Large sets of rows are committed as one compact record per group, which costs a tenth, and put into `rows` afterwards.
 * Nothing is lost in between: whoever loads the group next replays what is left (views.md §9.2). Until then `rowsVersion`
 * is behind, as it is when the original defers its rows.
 */
export class RowJournal {
  readonly #pool: pg.Pool;
  readonly #log: Log;
  readonly #sql: ReturnType<typeof cvrStatements>;
  /** Rows by group that are, or may be, still in the journal; and since when, in order. */
  readonly #pending = new Map<string, {readonly rows: number; readonly sinceMs: number}>();
  /** Says whether clients wait for something. */
  busy: () => boolean = () => false;
  #running: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;
  #drained = false;

  constructor(pool: pg.Pool, shard: string, log: Log) {
    this.#pool = pool;
    this.#log = log;
    this.#sql = cvrStatements(shard);
  }

  /** While it has records of a group, later changes of the group's rows must go through it as well. */
  has(clientGroupID: string): boolean {
    return this.#pending.has(clientGroupID);
  }

  /** A record was committed. */
  added(clientGroupID: string, rows: number): void {
    const known = this.#pending.get(clientGroupID);
    const sinceMs = known?.sinceMs ?? performance.now();
    this.#pending.set(clientGroupID, {rows: (known?.rows ?? 0) + rows, sinceMs});
    this.#schedule(DELAY_MS);
  }

  /** Resolves when nothing of the group is left. @throws ProtocolError `ServerOverloaded` if the database cannot be reached. */
  async flush(clientGroupID: string): Promise<void> {
    if (!this.#pending.has(clientGroupID)) return;
    await this.#running;
    if (this.#pending.has(clientGroupID)) await this.#write([clientGroupID]);
  }

  /** Puts in what a server has left that did not come to it. @throws ProtocolError `ServerOverloaded` */
  async replay(clientGroupID: string): Promise<void> {
    await this.#write([clientGroupID]);
  }

  /** Puts in what it can in that time, and no more afterwards: a server that leaves should leave little to be replayed. */
  async drain(budgetMs = DRAIN_MS): Promise<void> {
    this.#drained = true;
    clearTimeout(this.#timer);
    const until = performance.now() + budgetMs;
    await this.#running;
    while (this.#pending.size && performance.now() < until) await this.#write(this.#batch());
  }

  #schedule(delayMs: number): void {
    if (this.#timer || this.#running || this.#drained) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.busy() && !this.#isOverdue()) return this.#schedule(DELAY_MS);
      this.#running = this.#work().finally(() => {
        this.#running = null;
        if (this.#pending.size) this.#schedule(DELAY_MS);
      });
    }, delayMs);
    this.#timer.unref();
  }

  #isOverdue(): boolean {
    const [oldest] = this.#pending.values();
    return oldest !== undefined && performance.now() - oldest.sinceMs > PATIENCE_MS;
  }

  async #work(): Promise<void> {
    try {
      await this.#write(this.#batch());
    } catch (err) {
      this.#log.warn({err}, 'journaled rows could not be written yet; trying again');
      await new Promise(resolve => setTimeout(resolve, RETRY_MS).unref());
    }
  }

  #batch(): string[] {
    const groups: string[] = [];
    let rows = 0;
    for (const [group, pending] of this.#pending) {
      groups.push(group);
      if ((rows += pending.rows) >= MAX_ROWS) break;
    }
    return groups;
  }

  async #write(groups: readonly string[]): Promise<void> {
    const before = groups.map(group => this.#pending.get(group));
    try {
      await this.#transaction(groups, true).catch(error => {
        if ((error as {code?: string}).code !== UNIQUE_VIOLATION) throw error;
        return this.#transaction(groups, false);
      });
    } catch (error) {
      throw asGroupFault(error);
    }
    // What was added meanwhile may not have been seen.
    for (const [i, group] of groups.entries())
      if (this.#pending.get(group) === before[i]) this.#pending.delete(group);
  }

  async #transaction(groups: readonly string[], trustFirst: boolean): Promise<void> {
    const client = await this.#pool.connect();
    let broken = false;
    try {
      await client.query('BEGIN');
      // Records of a group are put in one after the other, whichever servers do it.
      await client.query({name: 'cvr-journal-lock', text: this.#sql.lockJournal, values: [groups]});
      for (;;) {
        const {rows} = await client.query<{n: number}>({
          name: 'cvr-journal-apply',
          text: this.#sql.applyJournal,
          values: [groups, trustFirst],
        });
        if (rows[0]!.n === 0) break;
      }
      await client.query('COMMIT');
    } catch (error) {
      broken = true;
      throw error;
    } finally {
      client.release(broken);
    }
  }
}
