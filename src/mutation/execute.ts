import type pg from 'pg';
import type {Permissions} from '../auth/permissions.ts';
import {WritePermissions} from '../auth/write-permissions.ts';
import {DaemonError} from '../errors.ts';
import {ident} from '../pg/identifier.ts';
import {crudStatement} from './crud-sql.ts';
import type {MutationOutcome, MutationRequest} from './types.ts';
import {UpstreamTables} from './upstream-tables.ts';

const MAX_ATTEMPTS = 10;
/** Serialization failure and deadlock: nothing is wrong but the moment. */
const RETRYABLE = new Set(['40001', '40P01']);

/**
 * Runs CRUD mutations upstream: the client's last mutation id and the data change in one serialisable transaction
 * (mutations-auth.md §3). Waiting mutations share a transaction; if anything goes wrong in it each is run alone, so that
 * they stay independent of each other.
 */
export class MutationExecutor {
  readonly #pool: pg.Pool;
  readonly #shard: string;
  readonly #permissions: () => Permissions;
  readonly #tables = new UpstreamTables();
  readonly #rules = new WritePermissions(this.#tables);

  constructor(pool: pg.Pool, shard: string, permissions: () => Permissions) {
    this.#pool = pool;
    this.#shard = shard;
    this.#permissions = permissions;
  }

  /** Outcomes in the order of the requests. @throws if upstream cannot be reached: nothing of the rest was applied. */
  async run(requests: readonly MutationRequest[]): Promise<MutationOutcome[]> {
    if (requests.length > 1) {
      const together = await this.#together(requests);
      if (together) return together;
    }
    const outcomes: MutationOutcome[] = [];
    for (const request of requests) outcomes.push(await this.#alone(request));
    return outcomes;
  }

  /** null: something went wrong, nothing was applied. */
  async #together(requests: readonly MutationRequest[]): Promise<MutationOutcome[] | null> {
    try {
      return await this.#transaction(async client => {
        const outcomes: MutationOutcome[] = [];
        for (const request of requests) {
          const outcome = await this.#apply(client, request);
          if (outcome.kind !== 'applied') throw new NeedsOwnTransaction();
          outcomes.push(outcome);
        }
        return outcomes;
      });
    } catch (error) {
      if (isConnectionLoss(error)) throw error;
      return null;
    }
  }

  async #alone(request: MutationRequest): Promise<MutationOutcome> {
    let failure: string | null = null;
    let idOnly = false;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; ) {
      try {
        const outcome = await this.#transaction(async client => {
          const applied = await this.#apply(client, request, idOnly);
          // Rolled back by throwing: neither id nor data may stay.
          if (applied.kind === 'repeated' || applied.kind === 'out-of-order') throw new Undone(applied);
          if (applied.kind === 'denied' && !idOnly) throw new Undone(applied);
          return applied;
        });
        return failure === null ? (idOnly ? {kind: 'denied'} : outcome) : {kind: 'failed', message: failure};
      } catch (error) {
        if (error instanceof Undone && error.outcome.kind !== 'denied') return error.outcome;
        if (error instanceof Undone) idOnly = true;
        else if (RETRYABLE.has((error as {code?: string}).code ?? '')) attempt++;
        else if (idOnly || isConnectionLoss(error)) throw error;
        else {
          // Whether it was the mutation's fault shows when its id alone can be taken.
          failure = describe(error);
          idOnly = true;
          this.#tables.forget();
        }
      }
    }
    throw new Error('The upstream database kept refusing the transaction for concurrent changes.');
  }

  async #apply(
    client: pg.PoolClient,
    {connection, mutation, claims}: MutationRequest,
    idOnly = false,
  ): Promise<MutationOutcome> {
    const expected = await this.#takeId(client, connection.clientGroupID, mutation.clientID);
    if (mutation.id < expected) return {kind: 'repeated'};
    if (mutation.id > expected) return {kind: 'out-of-order', expected};
    if (idOnly) return {kind: 'applied'};
    const permissions = this.#permissions();
    const {ops} = mutation.args[0];
    const kinds: ('insert' | 'update' | 'delete')[] = [];
    for (const op of ops) {
      const kind = await this.#rules.kindOf(client, op, permissions);
      kinds.push(kind);
      if (!(await this.#rules.allows(client, op, kind, 'pre', permissions, claims))) return {kind: 'denied'};
      // Without a rule there is nothing to wait for, and a forbidden table is not even looked at.
      if (kind === 'insert' && !permissions.tables[op.tableName]?.row?.insert?.length)
        return {kind: 'denied'};
    }
    for (const op of ops) {
      const statement = crudStatement(op, await this.#tables.get(client, op.tableName));
      if (statement) await client.query({text: statement.text, values: [...statement.values]});
    }
    for (const [i, op] of ops.entries())
      if (!(await this.#rules.allows(client, op, kinds[i]!, 'post', permissions, claims)))
        return {kind: 'denied'};
    return {kind: 'applied'};
  }

  async #takeId(client: pg.PoolClient, clientGroupID: string, clientID: string): Promise<number> {
    const {rows} = await client.query<{id: string}>({
      name: 'zs-take-mutation-id',
      text: `INSERT INTO ${ident(this.#shard)}."clients" AS current ("clientGroupID", "clientID", "lastMutationID")
        VALUES ($1, $2, 1) ON CONFLICT ("clientGroupID", "clientID")
        DO UPDATE SET "lastMutationID" = current."lastMutationID" + 1 RETURNING "lastMutationID" AS id`,
      values: [clientGroupID, clientID],
    });
    return Number(rows[0]!.id);
  }

  async #transaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    let broken = false;
    try {
      await client.query(
        'BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 60000',
      );
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {
        broken = true;
      });
      throw error;
    } finally {
      client.release(broken);
    }
  }
}

class NeedsOwnTransaction extends Error {}

class Undone extends Error {
  readonly outcome: MutationOutcome;

  constructor(outcome: MutationOutcome) {
    super(outcome.kind);
    this.outcome = outcome;
  }
}

const isConnectionLoss = (error: unknown): boolean => {
  const code = (error as {code?: string}).code ?? '';
  return (
    /^(08|57P|ECONN|EPIPE|ETIMEDOUT|EAI_)/.test(code) ||
    /Connection terminated|timeout exceeded/.test(String(error))
  );
};

/** PostgreSQL's message without its detail, which holds row values. */
const describe = (error: unknown): string =>
  error instanceof DaemonError ? error.message : `PostgresError: ${(error as Error).message}`;
