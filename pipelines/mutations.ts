import type pg from 'pg';
import {filter, identity, Subject, tap} from 'rxjs';
import type {Endpoint} from '../src/app-server/endpoint.ts';
import {type Permissions, unreadableNow} from '../src/auth/permissions.ts';
import {shardName, type ZeroConfig} from '../src/config/config.ts';
import {PermissionsUnreadable} from '../src/errors.ts';
import {batchByKey} from '../src/flow/batch-by-key.ts';
import {type StageBoard, stages} from '../src/flow/stage.ts';
import {Backlog} from '../src/mutation/backlog.ts';
import {MutationExecutor} from '../src/mutation/execute.ts';
import {limitMutations} from '../src/mutation/limit-mutations.ts';
import {KeyedLimiter} from '../src/mutation/sliding-window.ts';
import type {MutationOutcome, MutationRequest} from '../src/mutation/types.ts';
import type {Log} from '../src/observe/log.ts';
import {comeBackLater, ProtocolError, protocolError} from '../src/protocol/error-body.ts';
import type {CustomMutation, Push} from '../src/protocol/up.ts';
import type {ClientConnection} from '../src/sync/types.ts';
import {type CustomMutations, createCustomMutations} from './custom-mutations.ts';

export interface Mutations {
  /** Takes a push in; outcomes reach the client by replication, failures as errors. @throws ProtocolError `InvalidPush` */
  /** Settles when the connection may send more. */
  push(connection: ClientConnection, push: Push): Promise<void>;
  /** The app's endpoint for custom mutations; null if none is configured. */
  readonly custom: CustomMutations | null;
  stop(): void;
}

/** Mutations of one group that share a transaction at most. */
const BATCH = 100;

/** A custom mutation on its way through the limit, as a push of its own. */
interface CustomRequest {
  readonly connection: ClientConnection;
  readonly mutation: CustomMutation;
  readonly push: Push;
}

type Limited = MutationRequest | CustomRequest;

const isCrud = (request: Limited): request is MutationRequest => request.mutation.type === 'crud';

interface Executed {
  readonly requests: readonly MutationRequest[];
  /** An error: nothing was applied; the clients come back with their mutations. */
  readonly outcomes: readonly MutationOutcome[] | ProtocolError;
}

/** A client comes back after about a second instead of the usual five. Without an error that tells it to wait it would be back at once. */
const COME_BACK_MS = 1000;

/** Mutations of one connection that are on their way upstream before it is read no further. */
const MAX_UNDER_WAY = 1000;

/** Mutations of one user that wait for room in the window. */
const MAX_HELD = 2000;

const RATE_LIMITED = 'Rate limit exceeded';
const TOO_MANY_WAIT = 'Too many mutations wait because of the rate limit; nothing is lost.';
const BUSY = 'The upstream database is busy or cannot be reached; nothing is lost.';

/**
 * The chain of writes: push → sliding-window limit, for all kinds together, so that their order stays → custom mutations go
 * their own way, CRUD in batches per client group → one transaction each → answers.
 */
export const createMutations = (deps: {
  readonly config: ZeroConfig;
  readonly log: Log;
  readonly board: StageBoard;
  readonly upstream: pg.Pool;
  readonly permissions: () => Permissions;
  /** Where custom mutations go. */
  readonly endpoint: Endpoint | null;
}): Mutations => {
  const {config, log} = deps;
  const backlog = new Backlog(MAX_UNDER_WAY);
  const custom = deps.endpoint && createCustomMutations(deps.endpoint, {...deps, backlog});
  const {max, windowMs} = config.perUserMutationLimit;
  const limiter = max === undefined ? null : new KeyedLimiter({max, windowMs});
  const executor = new MutationExecutor({
    pool: deps.upstream,
    shard: shardName(config),
    permissions: deps.permissions,
    gapsMayClose: custom !== null,
  });
  const refused = new WeakSet<ClientConnection>();
  const refuse = (connection: ClientConnection, error: ProtocolError): void => {
    refused.add(connection);
    connection.fail(error);
  };
  const stage = stages(deps.board, 'mutations');
  const pushed = new Subject<Limited>();

  const execute = async (taken: readonly MutationRequest[]): Promise<Executed> => {
    // What a refused connection sent after the refused mutation comes again with it.
    const requests = taken.filter(({connection}) => !refused.has(connection));
    try {
      return {requests, outcomes: requests.length ? await executor.run(requests) : []};
    } catch (err) {
      if (err instanceof PermissionsUnreadable) return {requests, outcomes: unreadableNow(err)};
      log.warn({err}, 'mutations could not be run upstream; their clients will repeat them');
      return {requests, outcomes: comeBackLater(BUSY, COME_BACK_MS)};
    } finally {
      for (const {connection} of taken) backlog.leave(connection);
    }
  };

  const subscription = pushed
    .pipe(
      stage(
        'limit',
        limiter
          ? limitMutations({
              limiter,
              maxHeld: MAX_HELD,
              tell: connection => connection.fail(protocolError('MutationRateLimited', RATE_LIMITED)),
              overflow: connection => refuse(connection, comeBackLater(TOO_MANY_WAIT, COME_BACK_MS)),
            })
          : identity,
      ),
      tap(request => {
        if (!isCrud(request)) custom!.push(request.connection, request.push);
      }),
      filter(isCrud),
      tap(({connection}) => backlog.enter(connection)),
      stage(
        'execute',
        batchByKey(({connection}: MutationRequest) => connection.clientGroupID, BATCH, execute),
        {settles: ({requests}) => requests.length},
      ),
      stage(
        'answer',
        tap(executed => answer(executed, refuse)),
      ),
    )
    .subscribe();

  return {
    push: async (connection, push) => {
      if (push.clientGroupID !== connection.clientGroupID)
        throw protocolError('InvalidPush', 'The push is for another client group than the connection.');
      const [first] = push.mutations;
      if (!first) return;
      if (push.mutations.some(({type}) => type !== first.type))
        throw protocolError('InvalidPush', 'A push cannot mix CRUD and custom mutations.');
      if (first.type === 'custom') {
        if (!custom)
          throw protocolError(
            'InvalidPush',
            'A ZERO_MUTATE_URL must be set in order to process custom mutations.',
          );
        if (!limiter) custom.push(connection, push);
        else
          for (const mutation of push.mutations)
            if (mutation.type === 'custom')
              pushed.next({connection, mutation, push: {...push, mutations: [mutation]}});
        return backlog.room(connection);
      }
      if (!config.enableCrudMutations || config.upstream.type !== 'pg')
        throw protocolError('InvalidPush', 'Support for legacy CRUD mutations is disabled.');
      if (connection.auth.kind === 'opaque')
        throw protocolError(
          'InvalidPush',
          'CRUD mutations need a JWT that the server can verify, or no token at all.',
        );
      const claims = connection.auth.kind === 'jwt' ? connection.auth.claims : {};
      for (const mutation of push.mutations)
        if (mutation.type === 'crud') pushed.next({connection, mutation, claims});
      return backlog.room(connection);
    },
    custom,
    stop: () => {
      subscription.unsubscribe();
      custom?.stop();
    },
  };
};

const answer = (
  {requests, outcomes}: Executed,
  refuse: (connection: ClientConnection, error: ProtocolError) => void,
): void => {
  for (const [i, {connection, mutation}] of requests.entries()) {
    if (outcomes instanceof ProtocolError) {
      refuse(connection, outcomes);
      continue;
    }
    const outcome = outcomes[i]!;
    if (outcome.kind === 'failed') connection.fail(protocolError('MutationFailed', outcome.message));
    else if (outcome.kind === 'out-of-order')
      refuse(
        connection,
        protocolError(
          'InvalidPush',
          `Push contains unexpected mutation id ${mutation.id} for client ${mutation.clientID}. Expected mutation id ${outcome.expected}.`,
        ),
      );
  }
};
