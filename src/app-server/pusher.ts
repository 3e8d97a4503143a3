import {ProtocolError} from '../protocol/error-body.ts';
import type {Mutation, MutationID, Push} from '../protocol/up.ts';
import type {ClientConnection} from '../sync/types.ts';
import type {JsonValue} from '../zql/ast.ts';
import {AppCallFailed, callApp} from './call.ts';
import type {Endpoint} from './endpoint.ts';
import {checkUser, pushFailed, reportedPushFailure} from './failures.ts';
import {isMutateFailure, readMutateResponse} from './mutate-response.ts';

/** A push of custom mutations on its way to the app's server. */
export interface CustomPush {
  readonly connection: ClientConnection;
  readonly push: Push;
  /** The credential it came under; a push that comes after a change of it is sent apart. */
  readonly auth: ClientConnection['auth'];
}

/** Pushes that go out as one request: of one connection under one credential. */
export type PushRequest = CustomPush;

/** Joins what waits, keeping the order of each connection (mutations-auth.md §6.1). */
export const joinPushes = (pushes: readonly CustomPush[]): PushRequest[] => {
  const joined: {readonly first: CustomPush; readonly mutations: Mutation[]}[] = [];
  const latest = new Map<ClientConnection, (typeof joined)[number]>();
  for (const next of pushes) {
    const open = latest.get(next.connection);
    if (open && canJoin(open.first, next)) open.mutations.push(...next.push.mutations);
    else {
      const request = {first: next, mutations: [...next.push.mutations]};
      latest.set(next.connection, request);
      joined.push(request);
    }
  }
  return joined.map(({first, mutations}) => ({...first, push: {...first.push, mutations}}));
};

const canJoin = (a: CustomPush, b: CustomPush): boolean =>
  a.auth === b.auth &&
  a.push.pushVersion === b.push.pushVersion &&
  a.push.schemaVersion === b.push.schemaVersion;

/** Sends a push to the app's mutate endpoint; results reach clients by replication. @throws ProtocolError `PushFailed` */
export const sendPush = async (endpoint: Endpoint, {connection, auth, push}: PushRequest): Promise<void> => {
  const ids: MutationID[] = push.mutations.map(({id, clientID}) => ({id, clientID}));
  try {
    const answer = await callApp({
      endpoint,
      kind: 'push',
      caller: {
        auth,
        headers: connection.headers,
        userID: connection.userID,
        appTargets: connection.appTargets,
      },
      body: push,
      traceparent: push.traceparent,
    });
    const read = readMutateResponse(answer);
    if (!read) throw new AppCallFailed('parse', 'The app server answered with something else than results.');
    if (isMutateFailure(read)) throw reportedPushFailure(read, ids);
    try {
      checkUser(read.userID, connection.userID);
    } catch (error) {
      throw new AppCallFailed('http', (error as Error).message, {status: 401});
    }
    const outOfOrder = read.mutations.find(({result}) => result.error === 'oooMutation');
    if (outOfOrder)
      throw new ProtocolError({
        kind: 'PushFailed',
        message: 'The app server received mutations out of order.',
        origin: 'server',
        reason: 'oooMutation',
        mutationIDs: [outOfOrder.id],
      });
  } catch (error) {
    throw error instanceof AppCallFailed ? pushFailed(error, ids) : error;
  }
};

const CLEANUP = '_zero_cleanupResults';

/** A push that asks the app's server to forget results that clients have seen (mutations-auth.md §6.5). */
const cleanupPush = (clientGroupID: string, clientID: string, requestID: string, args: JsonValue): Push => ({
  clientGroupID,
  mutations: [{type: 'custom', id: 0, clientID, name: CLEANUP, timestamp: Date.now(), args: [args]}],
  pushVersion: 1,
  timestamp: Date.now(),
  requestID,
});

export const forgetSeenResults = (clientGroupID: string, {clientID, id}: MutationID): Push =>
  cleanupPush(clientGroupID, clientID, `cleanup-${clientGroupID}-${clientID}-${id}`, {
    type: 'single',
    clientGroupID,
    clientID,
    upToMutationID: id,
  });

/** @param clientIDs at least one. */
export const forgetClients = (clientGroupID: string, clientIDs: readonly string[]): Push =>
  cleanupPush(clientGroupID, clientIDs[0]!, `cleanup-bulk-${clientGroupID}-${Date.now()}`, {
    type: 'bulk',
    clientGroupID,
    clientIDs: [...clientIDs],
  });
