import type pg from 'pg';
import {type RowId, type RowKey, rowId} from '../ivm/row-id.ts';
import type {Version} from '../pg/lsn.ts';
import {protocolError} from '../protocol/error-body.ts';
import {knownAsts, knownSchemas} from '../protocol/interned.ts';
import type {ClientSchema} from '../protocol/up.ts';
import {asGroupFault, rehome} from './fault.ts';
import type {RowJournal} from './journal.ts';
import {cvrStatements} from './statements.ts';
import {clampTtl} from './ttl.ts';
import type {Cvr, Desire, QueryRecord} from './types.ts';
import {EMPTY, formatVersion, parseCookie} from './version.ts';

interface InstanceRow {
  readonly clientGroupID: string;
  readonly version: string;
  readonly ttlClock: number;
  readonly replicaVersion: string | null;
  readonly owner: string | null;
  readonly grantedAtMs: number | null;
  readonly clientSchema: ClientSchema | null;
  readonly profileID: string | null;
  readonly deleted: boolean;
  readonly rowsVersion: string;
  readonly rowSets: Readonly<Record<string, string>> | null;
  readonly clients: readonly string[] | null;
  readonly queries: readonly Omit<QueryRecord, 'desires'>[] | null;
  readonly desires: readonly DesireRow[] | null;
}

interface DesireRow {
  readonly clientID: string;
  readonly hash: string;
  readonly deleted: boolean;
  readonly ttlMs: number | null;
  readonly inactivatedAtMs: number | null;
}

interface Waiting {
  readonly clientGroupID: string;
  readonly resolve: (row: InstanceRow | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** Groups that share one statement at most. */
const MAX_GROUPS = 100;
/** Statements under way at once: what comes meanwhile goes together, and a rush does not open all connections. */
const MAX_RUNNING = 2;
/** The original writes rows behind its commits; another server waits for them (views.md §2.2). */
const ROWS_BEHIND_ATTEMPTS = 10;
const ROWS_BEHIND_WAIT_MS = 500;

/** Reads view records. A rush of reconnecting groups is read many to a statement. */
export class CvrLoader {
  readonly #pool: pg.Pool;
  readonly #taskID: string;
  readonly #sql: ReturnType<typeof cvrStatements>;
  readonly #journal: RowJournal;
  readonly #waiting: Waiting[] = [];
  #running = 0;

  constructor(pool: pg.Pool, shard: string, taskID: string, journal: RowJournal) {
    this.#pool = pool;
    this.#taskID = taskID;
    this.#sql = cvrStatements(shard);
    this.#journal = journal;
  }

  /**
   * A group's view record without its rows; a new one if there is none. This server owns it from here on.
   * @throws ProtocolError `ClientNotFound` if it was purged or its rows are lost, `Rehome` if a newer connection holds it
   * elsewhere, `ServerOverloaded` if the database cannot be reached.
   */
  async load(clientGroupID: string, connectTimeMs: number): Promise<Cvr> {
    for (let attempt = 1; ; attempt++) {
      const row = await this.#read(clientGroupID);
      if (!row) return emptyCvr(clientGroupID);
      if (row.deleted) throw protocolError('ClientNotFound', 'Client has been purged due to inactivity');
      if (row.owner !== this.#taskID && !(await this.#take(clientGroupID, connectTimeMs)))
        throw rehome('A newer connection of the client group is served elsewhere.');
      // The last owner may have written between reading and taking: read again, now that it cannot any more.
      if (row.owner !== this.#taskID) continue;
      if (row.rowsVersion === row.version) return cvrOf(row);
      if (attempt > ROWS_BEHIND_ATTEMPTS)
        throw protocolError('ClientNotFound', 'The stored rows of the client group are behind its version.');
      // Ours were left in the journal; the original's come by themselves, or never.
      await this.#journal.replay(clientGroupID);
      if (attempt > 1) await new Promise(resolve => setTimeout(resolve, ROWS_BEHIND_WAIT_MS));
    }
  }

  /** The version that the group's record has now. */
  async version(clientGroupID: string): Promise<string> {
    const {rows} = await this.#pool
      .query<{version: string}>(this.#sql.version, [clientGroupID])
      .catch(error => {
        throw asGroupFault(error);
      });
    return rows[0]?.version ?? formatVersion(EMPTY);
  }

  /** Versions of all rows that clients of the group hold. */
  async rows(clientGroupID: string): Promise<Map<RowId, Version>> {
    await this.#journal.flush(clientGroupID);
    const {rows} = await this.#pool
      .query<[string, string, string]>({text: this.#sql.rows, values: [clientGroupID], rowMode: 'array'})
      .catch(error => {
        throw asGroupFault(error);
      });
    return new Map(
      rows.map(([table, key, rowVersion]) => [rowId(table, JSON.parse(key) as RowKey), rowVersion]),
    );
  }

  async #take(clientGroupID: string, connectTimeMs: number): Promise<boolean> {
    const {rowCount} = await this.#pool
      .query(this.#sql.take, [clientGroupID, this.#taskID, connectTimeMs / 1000])
      .catch(error => {
        throw asGroupFault(error);
      });
    return (rowCount ?? 0) > 0;
  }

  #read(clientGroupID: string): Promise<InstanceRow | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({clientGroupID, resolve, reject});
      // Requests of the same turn go together.
      if (this.#running < MAX_RUNNING && this.#waiting.length === 1) setImmediate(() => this.#start());
    });
  }

  #start(): void {
    while (this.#running < MAX_RUNNING && this.#waiting.length) {
      this.#running++;
      void this.#readBatch(this.#waiting.splice(0, MAX_GROUPS)).finally(() => {
        this.#running--;
        this.#start();
      });
    }
  }

  async #readBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      const {rows} = await this.#pool.query<InstanceRow>({
        name: 'cvr-load',
        text: this.#sql.load,
        values: [batch.map(({clientGroupID}) => clientGroupID)],
      });
      const found = new Map(rows.map(row => [row.clientGroupID, row]));
      for (const {clientGroupID, resolve} of batch) resolve(found.get(clientGroupID));
    } catch (error) {
      const fault = asGroupFault(error);
      // Whose fault it was is found by reading each alone; an unreachable database is nobody's.
      if (batch.length > 1 && fault === error) for (const waiting of batch) await this.#readBatch([waiting]);
      else for (const {reject} of batch) reject(fault);
    }
  }
}

const emptyCvr = (clientGroupID: string): Cvr => ({
  clientGroupID,
  version: EMPTY,
  replicaVersion: null,
  clientSchema: null,
  profileID: null,
  ttlClockMs: 0,
  clients: new Set(),
  queries: new Map(),
  rowSets: null,
});

const cvrOf = (row: InstanceRow): Cvr => {
  const desires = new Map<string, Map<string, Desire>>();
  for (const {clientID, hash, deleted, ttlMs, inactivatedAtMs} of row.desires ?? []) {
    // A cleared desire is deleted without a time: nothing of it is left to run out.
    if (deleted && inactivatedAtMs === null) continue;
    let ofQuery = desires.get(hash);
    if (!ofQuery) desires.set(hash, (ofQuery = new Map()));
    ofQuery.set(clientID, {ttlMs: clampTtl(ttlMs ?? undefined), inactivatedAtMs, deleted});
  }
  return {
    clientGroupID: row.clientGroupID,
    version: parseCookie(row.version),
    replicaVersion: row.replicaVersion,
    clientSchema: row.clientSchema && knownSchemas.of(row.clientSchema, () => row.clientSchema!),
    profileID: row.profileID,
    ttlClockMs: row.ttlClock,
    clients: new Set(row.clients),
    queries: new Map(
      (row.queries ?? []).map(query => [
        query.hash,
        {
          ...query,
          ast: query.ast && knownAsts.of(query.ast, () => query.ast!),
          desires: desires.get(query.hash) ?? new Map<string, Desire>(),
        },
      ]),
    ),
    rowSets: row.rowSets,
  };
};
