import type pg from 'pg';
import {asGroupFault, rehome} from './fault.ts';
import type {RowJournal} from './journal.ts';
import {rowTexts} from './row-texts.ts';
import {cvrStatements} from './statements.ts';
import type {CvrUpdate, RowColumns} from './types.ts';

/** Groups and rows that share one transaction at most: a bad neighbour costs little. */
const MAX_GROUPS = 100;
const MAX_ROWS = 20_000;
/** A group's rows beyond this many are journaled: its clients do not wait for their indexes. */
const JOURNAL_ROWS = 30;
/** Transactions under way at once: the next is prepared and planned while the last is flushed to disk. */
const MAX_RUNNING = 2;

/** A group that is served, and its TTL clock. */
export interface LifeSign {
  readonly clientGroupID: string;
  readonly ttlClockMs: number;
  /** Digests of its queries' rows, of a group that is let go at a version with nothing pending. */
  readonly rowSets?: {readonly version: string; readonly sets: Readonly<Record<string, string>>} | undefined;
}

interface Waiting {
  readonly update: CvrUpdate;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Writes view records. Updates of many groups that come while commits are under way share the next transaction, each
 * checked on its own: a group that lost its record to another server fails alone (views.md §9.2).
 */
export class CvrStore {
  readonly #pool: pg.Pool;
  readonly #taskID: string;
  readonly #sql: ReturnType<typeof cvrStatements>;
  readonly #journal: RowJournal;
  readonly #waiting: Waiting[] = [];
  /** Groups with an update waiting or being written. */
  readonly #underWay = new Set<string>();
  #whenSettled: (() => void)[] = [];
  #running = 0;
  readonly #signs = new Map<string, LifeSign>();
  /** The last statement of life signs that was begun, and that which waits for it. */
  #touched: Promise<void> = Promise.resolve();
  #touching: Promise<void> | null = null;
  /** Transactions so far. */
  commits = 0;

  constructor(pool: pg.Pool, shard: string, taskID: string, journal: RowJournal) {
    this.#pool = pool;
    this.#taskID = taskID;
    this.#sql = cvrStatements(shard);
    this.#journal = journal;
  }

  /** Clients wait for a commit. */
  get isCommitting(): boolean {
    return this.#running > 0;
  }

  /**
   * Resolves when the update is durable. One group's updates must wait for each other.
   * @throws ProtocolError `Rehome` if another server has changed or taken the record, or the database cannot be reached:
   * then the record must be loaded again.
   */
  commit(update: CvrUpdate): Promise<void> {
    const {clientGroupID} = update;
    this.#underWay.add(clientGroupID);
    return new Promise<void>((resolve, reject) => {
      this.#waiting.push({
        update,
        resolve: () => {
          this.#done(clientGroupID);
          resolve();
        },
        reject: error => {
          this.#done(clientGroupID);
          reject(error);
        },
      });
      // Updates of the same turn go together.
      if (this.#running < MAX_RUNNING && this.#waiting.length === 1) setImmediate(() => this.#start());
    });
  }

  /** Resolves when no update of the group is under way, whatever became of it: it may have been left by a group that ended. */
  async settled(clientGroupID: string): Promise<void> {
    while (this.#underWay.has(clientGroupID))
      await new Promise<void>(resolve => this.#whenSettled.push(resolve));
  }

  /** Tells that groups are alive and where their TTL clocks stand; those that were taken over are left alone. */
  async touch(groups: readonly LifeSign[]): Promise<void> {
    if (groups.length === 0) return;
    for (const sign of groups) this.#signs.set(sign.clientGroupID, sign);
    // What comes while a statement is under way goes together with the next.
    this.#touching ??= this.#touched
      .catch(() => {})
      .then(() => {
        this.#touched = this.#touching!;
        this.#touching = null;
        return this.#writeSigns();
      });
    return this.#touching;
  }

  async #writeSigns(): Promise<void> {
    const records = Array.from(this.#signs.values(), ({clientGroupID, ttlClockMs, rowSets}) => ({
      g: clientGroupID,
      ttlClock: ttlClockMs,
      ...rowSets,
    }));
    this.#signs.clear();
    await this.#pool.query(this.#sql.touch, [JSON.stringify(records), this.#taskID]);
  }

  #start(): void {
    while (this.#running < MAX_RUNNING && this.#waiting.length) {
      this.#running++;
      const batch = this.#take();
      void this.#run(batch).finally(() => {
        this.#running--;
        this.#start();
      });
    }
  }

  #done(clientGroupID: string): void {
    this.#underWay.delete(clientGroupID);
    if (this.#whenSettled.length === 0) return;
    const told = this.#whenSettled;
    this.#whenSettled = [];
    for (const tell of told) tell();
  }

  #take(): Waiting[] {
    const batch: Waiting[] = [];
    let rows = 0;
    while (this.#waiting.length && batch.length < MAX_GROUPS && rows < MAX_ROWS) {
      const next = this.#waiting.shift()!;
      batch.push(next);
      rows += rowsOf(next.update);
    }
    return batch;
  }

  async #run(batch: readonly Waiting[]): Promise<void> {
    try {
      const refused = await this.#write(batch.map(({update}) => update));
      for (const {update, resolve, reject} of batch) {
        const reason = refused.get(update.clientGroupID);
        if (reason) reject(rehome(reason));
        else resolve();
      }
    } catch (error) {
      const fault = asGroupFault(error);
      // Whose fault it was is found by writing each alone; an unreachable database is nobody's.
      if (batch.length > 1 && fault === error) for (const waiting of batch) await this.#run([waiting]);
      else for (const {reject} of batch) reject(fault);
    }
  }

  /** One transaction. @returns the refused groups with the reason. */
  async #write(updates: readonly CvrUpdate[]): Promise<Map<string, string>> {
    const sets = new Map<RowColumns, number>();
    for (const {rows} of updates)
      for (const set of rows) if (set.keys.length && !sets.has(set)) sets.set(set, sets.size + 1);
    const records = updates.map(update => this.#record(update, sets));
    const {rows} = await this.#pool.query<{
      g: string;
      accepted: boolean;
      version: string | null;
      taken: boolean;
    }>({
      name: 'cvr-commit',
      text: this.#sql.commit,
      values: [JSON.stringify(records), ...rowTexts(sets.keys())],
    });
    this.commits++;
    const refused = new Map<string, string>();
    for (const {g, accepted, version, taken} of rows)
      if (!accepted)
        refused.set(
          g,
          taken
            ? 'A newer connection of the client group is served elsewhere.'
            : `The view record was changed elsewhere: it is at ${version ?? 'nothing'}.`,
        );
    for (const [i, {g, journal}] of records.entries())
      if (journal && !refused.has(g)) this.#journal.added(g, rowsOf(updates[i]!));
    return refused;
  }

  #record(update: CvrUpdate, sets: ReadonlyMap<RowColumns, number>) {
    const {clientGroupID: g, newClients, deletedClients, queries, desires} = update;
    return {
      g,
      expected: update.expectedVersion,
      v: update.version,
      ttlClock: update.ttlClockMs,
      replicaVersion: update.replicaVersion,
      owner: this.#taskID,
      granted: update.connectTimeMs / 1000,
      sets: update.rows.flatMap(set => sets.get(set) ?? []),
      journal: rowsOf(update) > JOURNAL_ROWS || this.#journal.has(g),
      ...(update.clientSchema ? {clientSchema: update.clientSchema} : {}),
      ...(update.profileID ? {profileID: update.profileID} : {}),
      ...(newClients.length ? {newClients} : {}),
      ...(deletedClients.length ? {goneClients: deletedClients} : {}),
      ...(queries.length ? {queries} : {}),
      ...(desires.length ? {desires} : {}),
    };
  }
}

const rowsOf = ({rows}: CvrUpdate): number => rows.reduce((sum, {keys}) => sum + keys.length, 0);
