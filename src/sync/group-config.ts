import type {Cvr} from '../cvr/types.ts';
import {type CvrVersion, compareVersions, formatVersion, isEmpty} from '../cvr/version.ts';
import {remembered} from '../flow/remembered.ts';
import {protocolError} from '../protocol/error-body.ts';
import type {ClientSchema, DeleteClients, InitConnection} from '../protocol/up.ts';
import type {TableSpec} from '../replica/table-spec.ts';
import {checkClientSchema} from './client-schema.ts';
import type {Client} from './group-clients.ts';
import {type ConfigChanges, deleteClients, ensureClient, patchDesires} from './group-desires.ts';

/** What a message may look at and change. */
export interface ConfigContext {
  readonly cvr: Cvr;
  readonly changes: ConfigChanges;
  readonly tables: ReadonlyMap<string, TableSpec>;
  readonly shard: string;
  /** On the group's TTL clock. */
  readonly nowMs: number;
}

/** Takes in a client's first message (views.md §3.2). @throws ProtocolError if the client cannot be served. */
export const applyInit = (context: ConfigContext, client: Client, body: InitConnection): void => {
  const {cvr, changes, nowMs} = context;
  const {clientID, profileID} = client.connection;
  checkCookie(client.version, cvr.version);
  if (body.clientSchema) setSchema(context, body.clientSchema);
  else if (!cvr.clientSchema)
    throw protocolError(
      'InvalidConnectionRequest',
      'The initConnection message for a new client group must include client schema.',
    );
  if (cvr.profileID !== profileID) {
    cvr.profileID = profileID;
    changes.instance = true;
  }
  ensureClient(cvr, changes, clientID);
  patchDesires(cvr, changes, clientID, body.desiredQueriesPatch, nowMs);
  if (body.activeClients) {
    const active = new Set([...body.activeClients, clientID]);
    const gone = [...cvr.clients].filter(id => !active.has(id));
    deleteClients(cvr, changes, gone, nowMs);
  }
  if (body.deleted) applyDelete(context, clientID, body.deleted);
  client.ready = true;
};

/** @throws ProtocolError `InvalidMessage` if a client would delete itself. */
export const applyDelete = (
  {cvr, changes, nowMs}: ConfigContext,
  clientID: string,
  {clientIDs = []}: DeleteClients,
): void => {
  if (clientIDs.includes(clientID)) throw protocolError('InvalidMessage', 'A client cannot delete itself.');
  deleteClients(cvr, changes, clientIDs, nowMs);
  // Unknown ids are acknowledged too: the client only wants to stop asking.
  changes.acknowledgeDeleted.push(...clientIDs);
};

/** @throws ProtocolError as protocol.md §4.3 says. */
const checkCookie = (client: CvrVersion | null, group: CvrVersion): void => {
  if (client === null || compareVersions(client, group) <= 0) return;
  if (isEmpty(group)) throw protocolError('ClientNotFound', 'Client not found');
  throw protocolError('InvalidConnectionRequestBaseCookie', `CVR is at version ${formatVersion(group)}`);
};

const setSchema = ({cvr, changes, tables, shard}: ConfigContext, schema: ClientSchema): void => {
  if (cvr.clientSchema) {
    if (cvr.clientSchema !== schema && canonicalJson(cvr.clientSchema) !== canonicalJson(schema))
      throw protocolError('InvalidConnectionRequest', 'Provided schema does not match previous schema');
    return;
  }
  checkClientSchema(schema, tables, shard);
  cvr.clientSchema = schema;
  changes.instance = true;
};

/** Whatever the order of its fields: PostgreSQL has one of its own. */
const canonicalJson = remembered((schema: ClientSchema) =>
  JSON.stringify(schema, (_, part: unknown) =>
    part && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  ),
);
