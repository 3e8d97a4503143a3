import {setTimeout} from 'node:timers/promises';
import type pg from 'pg';
import type {Permissions} from '../auth/permissions.ts';
import {type OpKind, WritePermissions} from '../auth/write-permissions.ts';
import {BadMutation, DaemonError, PermissionsUnreadable, UpstreamBusy} from '../errors.ts';
import {isNetworkFault} from '../pg/upstream-fault.ts';
import {crudStatement, rowKey} from './crud-sql.ts';
import {ID_MISMATCH, MutationIDs} from './last-mutation-id.ts';
import {type Plan, planStatements} from './plan-statements.ts';
import {RetryLane} from './retry-lane.ts';
import {FlightFailed, Flights, inTransaction} from './transaction.ts';
import type {MutationOutcome, MutationRequest} from './types.ts';
import {UpstreamTables} from './upstream-tables.ts';

const MAX_ATTEMPTS = 10;
/** Serialization failure and deadlock: nothing is wrong but the moment. */
const RETRYABLE = new Set(['40001', '40P01']);

export interface ExecutorDeps {
  /** In pipeline mode. */
  readonly pool: pg.Pool;
  readonly shard: string;
  readonly permissions: () => Permissions;
  /** True where an app server takes ids as well: one that is missing now may be committed in a moment. */
  readonly gapsMayClose: boolean;
}

const GAP_ATTEMPTS = 3;
const GAP_PAUSE_MS = 100;

/**
 * Runs CRUD mutations upstream: the client's last mutation id and the data change in one transaction (mutations-auth.md
 * §3). Waiting mutations of a client group share a transaction that is sent in one go; if anything in it does not go the
 * common way, each is run alone and step by step, so that they stay independent of each other.
 */
export class MutationExecutor {
  readonly #pool: pg.Pool;
  readonly #flights: Flights;
  readonly #ids: MutationIDs;
  readonly #permissions: () => Permissions;
  readonly #gapsMayClose: boolean;
  readonly #lane = new RetryLane();
  readonly #tables = new UpstreamTables();
  readonly #rules = new WritePermissions(this.#tables);

  constructor({pool, shard, permissions, gapsMayClose}: ExecutorDeps) {
    this.#gapsMayClose = gapsMayClose;
    this.#pool = pool;
    this.#flights = new Flights(pool);
    this.#ids = new MutationIDs(shard);
    this.#permissions = permissions;
  }

  /**
   * Requests of one client group, in order. @returns outcomes in the same order.
   * @throws UpstreamBusy, or PostgreSQL's error if it cannot be reached: nothing of the rest was applied.
   */
  async run(requests: readonly MutationRequest[]): Promise<MutationOutcome[]> {
    let done: MutationOutcome[] = [];
    let rest = requests;
    const together = await this.#together(rest);
    if (together === 'applied') return rest.map(() => ({kind: 'applied'}));
    if (together === 'mismatch' && rest.length > 1) {
      // Usually a client that comes back and repeats what it has not heard of: skip what is done, try the others again.
      const repeated = await this.#countRepeated(rest);
      done = rest.slice(0, repeated).map(() => ({kind: 'repeated'}));
      rest = rest.slice(repeated);
      if (repeated > 0 && rest.length > 0 && (await this.#together(rest)) === 'applied')
        return [...done, ...rest.map((): MutationOutcome => ({kind: 'applied'}))];
    }
    for (const request of rest) done.push(await this.#inTurn(request));
    return done;
  }

  /** Waits a moment for ids that are taken elsewhere. */
  async #inTurn(request: MutationRequest): Promise<MutationOutcome> {
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#alone(request);
      if (outcome.kind !== 'out-of-order' || !this.#gapsMayClose || attempt >= GAP_ATTEMPTS) return outcome;
      await setTimeout(GAP_PAUSE_MS);
    }
  }

  /** All in one flight. `mismatch`: ids are not the next ones; `failed`: anything else. Neither applied anything. */
  async #together(requests: readonly MutationRequest[]): Promise<'applied' | 'mismatch' | 'failed'> {
    const claims = this.#ids.claims(requests);
    if (!claims) return 'mismatch';
    const plans = await this.#plan(requests);
    if (!plans) return 'failed';
    const statements = [...claims, ...plans.flatMap(plan => plan.statements)];
    const isolation = plans.some(plan => plan.guarded) ? 'SERIALIZABLE' : 'READ COMMITTED';
    for (let attempt = 0; ; attempt++) {
      try {
        const fly = () => this.#flights.fly(isolation, statements);
        await (attempt === 0 ? fly() : this.#lane.run(attempt, fly));
        return 'applied';
      } catch (error) {
        if (!(error instanceof FlightFailed)) throw error;
        const {cause, index} = error;
        if (isConnectionLoss(cause)) throw cause;
        const code = codeOf(cause);
        if (RETRYABLE.has(code) && attempt === 0) continue;
        return code === ID_MISMATCH && index < claims.length ? 'mismatch' : 'failed';
      }
    }
  }

  /** null if one of them cannot be planned ahead. */
  async #plan(requests: readonly MutationRequest[]): Promise<Plan[] | null> {
    const permissions = this.#permissions();
    const plans: Plan[] = [];
    try {
      for (const request of requests) {
        const plan = await planStatements(this.#pool, request, this.#tables, this.#rules, permissions);
        if (!plan) return null;
        plans.push(plan);
      }
      return plans;
    } catch (error) {
      if (error instanceof BadMutation) return null;
      throw error;
    }
  }

  /** How many of the first requests were applied before. */
  async #countRepeated(requests: readonly MutationRequest[]): Promise<number> {
    const {clientGroupID} = requests[0]!.connection;
    const clientIDs = [...new Set(requests.map(({mutation}) => mutation.clientID))];
    const last = await this.#ids.read(this.#pool, clientGroupID, clientIDs);
    const fresh = requests.findIndex(({mutation}) => mutation.id > (last.get(mutation.clientID) ?? 0));
    return fresh < 0 ? requests.length : fresh;
  }

  async #alone(request: MutationRequest): Promise<MutationOutcome> {
    let failure: string | null = null;
    let idOnly = false;
    let fresh = false;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; ) {
      try {
        const transact = () =>
          inTransaction(this.#pool, 'SERIALIZABLE', async client => {
            const applied = await this.#apply(client, request, idOnly);
            // Rolled back by throwing: neither id nor data may stay.
            if (applied.kind !== 'applied') throw new Undone(applied);
            return applied;
          });
        const outcome = await (attempt === 0 ? transact() : this.#lane.run(attempt, transact));
        if (failure !== null) return {kind: 'failed', message: failure};
        return idOnly ? {kind: 'denied'} : outcome;
      } catch (error) {
        if (error instanceof Undone && error.outcome.kind !== 'denied') return error.outcome;
        if (error instanceof Undone) idOnly = true;
        else if (RETRYABLE.has(codeOf(error))) attempt++;
        // Not the mutation's fault: its id must not be taken.
        else if (idOnly || isConnectionLoss(error) || error instanceof PermissionsUnreadable) throw error;
        else if (!fresh && mayBeStale(error)) {
          fresh = true;
          this.#tables.forget();
        } else {
          // Whether it was the mutation's fault shows when its id alone can be taken.
          failure = describe(error);
          idOnly = true;
        }
      }
    }
    throw new UpstreamBusy(`A mutation met concurrent changes ${MAX_ATTEMPTS} times in a row.`);
  }

  /** Step by step, each judged by what it finds. */
  async #apply(
    client: pg.PoolClient,
    {connection, mutation, claims}: MutationRequest,
    idOnly: boolean,
  ): Promise<MutationOutcome> {
    const expected = await this.#ids.take(client, connection.clientGroupID, mutation.clientID);
    if (mutation.id < expected) return {kind: 'repeated'};
    if (mutation.id > expected) return {kind: 'out-of-order', expected};
    if (idOnly) return {kind: 'applied'};
    const permissions = this.#permissions();
    const {ops} = mutation.args[0];
    const kinds: OpKind[] = [];
    for (const op of ops) {
      const kind = await this.#rules.kindOf(client, op, permissions);
      kinds.push(kind);
      if (!(await this.#rules.allows(client, {op, kind, phase: 'pre', permissions, claims})))
        return {kind: 'denied'};
    }
    const touched = new Set<string>();
    for (const [i, op] of ops.entries()) {
      const row = rowKey(op);
      if (touched.has(row)) {
        // An earlier operation may have made the row: only now there is something to judge.
        const kind = (kinds[i] = await this.#rules.kindOf(client, op, permissions));
        if (!(await this.#rules.allows(client, {op, kind, phase: 'pre', permissions, claims})))
          return {kind: 'denied'};
      }
      touched.add(row);
      const statement = crudStatement(op, await this.#tables.get(client, op.tableName));
      if (statement) await client.query({text: statement.text, values: [...statement.values]});
    }
    for (const [i, op] of ops.entries())
      if (!(await this.#rules.allows(client, {op, kind: kinds[i]!, phase: 'post', permissions, claims})))
        return {kind: 'denied'};
    return {kind: 'applied'};
  }
}

class Undone extends Error {
  readonly outcome: MutationOutcome;

  constructor(outcome: MutationOutcome) {
    super(outcome.kind);
    this.outcome = outcome;
  }
}

const codeOf = (error: unknown): string => (error as {code?: string} | null)?.code ?? '';

const isConnectionLoss = (error: unknown): boolean =>
  isNetworkFault(error) ||
  /^(08|53300|57P)/.test(codeOf(error)) ||
  /Connection terminated|connection error|timeout exceeded|not queryable/.test(String(error));

/** A table that was altered since its columns were read: a name or a type that does not fit any more. */
const mayBeStale = (error: unknown): boolean =>
  error instanceof BadMutation || /^(22|42)/.test(codeOf(error));

/** PostgreSQL's message without its detail, which holds row values. */
const describe = (error: unknown): string =>
  error instanceof DaemonError ? error.message : `PostgresError: ${(error as Error).message}`;
