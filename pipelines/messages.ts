import {type ProtocolError, protocolError} from '../src/protocol/error-body.ts';
import type {Up} from '../src/protocol/up.ts';
import type {ClientGroup} from '../src/sync/client-group.ts';
import type {InspectHandler} from '../src/sync/inspect.ts';
import type {ClientConnection, MessageHandler} from '../src/sync/types.ts';
import {type Identity, namedPuts} from './identity.ts';
import type {Mutations} from './mutations.ts';
import type {Serving} from './serving.ts';

export interface MessagesDeps {
  readonly serving: Pick<Serving, 'groups' | 'groupOf'>;
  readonly identity: Identity;
  readonly mutations: Mutations;
  readonly inspector: InspectHandler;
  /** Why no more connections are taken. */
  readonly refusal: () => ProtocolError | null;
}

/** Where each message of a client goes. */
export const handleMessages = (deps: MessagesDeps): MessageHandler => {
  const {serving, identity, mutations, inspector} = deps;
  const handle = async (
    group: ClientGroup,
    connection: ClientConnection,
    [type, body]: Up,
  ): Promise<void> => {
    if (type !== 'initConnection' && !group.serves(connection))
      throw protocolError('InvalidMessage', 'The first message must be initConnection.');
    switch (type) {
      case 'initConnection':
        await identity.admit(group, connection, body);
        await group.init(connection, body);
        return mutations.custom?.forget(connection, body.deleted?.clientIDs ?? []);
      case 'changeDesiredQueries':
        await identity.prepare(connection, namedPuts(body.desiredQueriesPatch));
        return group.changeDesired(connection, body.desiredQueriesPatch);
      case 'deleteClients':
        await group.deleteClients(connection, body);
        return mutations.custom?.forget(connection, body.clientIDs ?? []);
      case 'push':
        return mutations.push(connection, body);
      case 'updateAuth':
        if (await identity.renew(group, connection, body.auth)) await group.updateAuth(connection);
        return;
      case 'ackMutationResponses':
        return mutations.custom?.seen(connection, body);
      case 'inspect':
        return inspector.handle(group, connection, body);
      // The reference ignores these as well (protocol.md §2.6).
      case 'pull':
      case 'ping':
      case 'closeConnection':
        return;
    }
  };
  return {
    connect: async connection => {
      const refusal = deps.refusal();
      if (refusal) throw refusal;
      serving.groupOf(connection.clientGroupID).connect(connection);
    },
    message: async (connection, message) => {
      const group = serving.groups.get(connection.clientGroupID);
      if (group) await handle(group, connection, message);
    },
    disconnected: connection => serving.groups.get(connection.clientGroupID)?.disconnected(connection),
  };
};
