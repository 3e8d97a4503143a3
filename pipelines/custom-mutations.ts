import {Subject, tap} from 'rxjs';
import type {Endpoint} from '../src/app-server/endpoint.ts';
import {
  type CustomPush,
  forgetClients,
  forgetSeenResults,
  joinPushes,
  sendPush,
} from '../src/app-server/pusher.ts';
import {batchByKey} from '../src/flow/batch-by-key.ts';
import {type StageBoard, stages} from '../src/flow/stage.ts';
import type {Backlog} from '../src/mutation/backlog.ts';
import type {Log} from '../src/observe/log.ts';
import {ProtocolError, protocolError} from '../src/protocol/error-body.ts';
import type {MutationID, Push} from '../src/protocol/up.ts';
import type {ClientConnection} from '../src/sync/types.ts';

export interface CustomMutations {
  push(connection: ClientConnection, push: Push): void;
  /** The client has seen results up to this one: the app's server may forget them. */
  seen(connection: ClientConnection, id: MutationID): void;
  /** Clients are gone, and so is who could ask for their results. */
  forget(connection: ClientConnection, clientIDs: readonly string[]): void;
  stop(): void;
}

/** Pushes of one group that are joined at most. */
const BATCH = 200;

/**
 * The chain of custom mutations: push → joined per client group while a request is on its way → the app's server, one
 * request at a time per group. Results come back by replication; only failures are answered.
 */
export const createCustomMutations = (
  endpoint: Endpoint,
  deps: {readonly log: Log; readonly board: StageBoard; readonly backlog: Backlog},
): CustomMutations => {
  const {log, backlog} = deps;
  const stage = stages(deps.board, 'custom-mutations');
  const pushed = new Subject<CustomPush>();
  /** What they sent after a failed push comes again with it. */
  const failed = new WeakSet<ClientConnection>();

  const send = async (
    pushes: readonly CustomPush[],
  ): Promise<ReadonlyMap<ClientConnection, ProtocolError>> => {
    const failures = new Map<ClientConnection, ProtocolError>();
    for (const request of joinPushes(pushes)) {
      const {connection} = request;
      if (failed.has(connection)) continue;
      try {
        await sendPush(endpoint, request);
      } catch (error) {
        failed.add(connection);
        if (!(error instanceof ProtocolError)) log.error({err: error}, 'a push could not be sent');
        failures.set(connection, error instanceof ProtocolError ? error : internal);
      }
    }
    for (const {connection, push} of pushes) backlog.leave(connection, push.mutations.length);
    return failures;
  };

  const clean = (connection: ClientConnection, push: Push): void => {
    // Nobody waits for it: what is left over is asked for again after the next result.
    sendPush(endpoint, {connection, auth: connection.auth, push}).catch(error =>
      log.warn({err: error}, 'the app server did not forget old mutation results'),
    );
  };

  const subscription = pushed
    .pipe(
      stage(
        'send',
        batchByKey(({connection}: CustomPush) => connection.clientGroupID, BATCH, send),
      ),
      stage(
        'answer',
        tap(failures => {
          for (const [connection, error] of failures) connection.fail(error);
        }),
      ),
    )
    .subscribe();

  return {
    push: (connection, push) => {
      backlog.enter(connection, push.mutations.length);
      pushed.next({connection, push, auth: connection.auth});
    },
    seen: (connection, id) => clean(connection, forgetSeenResults(connection.clientGroupID, id)),
    forget: (connection, clientIDs) => {
      if (clientIDs.length) clean(connection, forgetClients(connection.clientGroupID, clientIDs));
    },
    stop: () => subscription.unsubscribe(),
  };
};

const internal = protocolError('Internal', 'Internal error; see the server log.');
