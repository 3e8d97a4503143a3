import type {Cvr} from '../cvr/types.ts';
import {formatVersion} from '../cvr/version.ts';
import type {GroupInspection} from '../observe/inspection.ts';
import type {Version} from '../pg/lsn.ts';
import type {GroupClients} from './group-clients.ts';
import type {GroupRows} from './group-rows.ts';

/** What `inspect-pipeline` shows of a group. */
export const inspectGroup = (
  clientGroupID: string,
  cvr: Cvr | null,
  rows: GroupRows,
  clients: GroupClients,
  servedVersion: Version,
): GroupInspection => ({
  clientGroupID,
  cvrVersion: cvr ? formatVersion(cvr.version) : '00',
  servedVersion,
  userID: clients.userID ?? null,
  pendingRows: rows.pendingRows,
  // Without those of the server itself, which no client asked for or is told of.
  queries: [...(cvr?.queries.values() ?? [])]
    .filter(({internal}) => !internal)
    .map(query => ({
      hash: query.hash,
      name: query.name,
      graph: rows.graphs.get(query.hash)?.id ?? null,
      got: query.patchVersion !== null,
      rows: rows.graphs.get(query.hash)?.size ?? 0,
    })),
  clients: [...clients.all()].map(({connection, version}) => ({
    clientID: connection.clientID,
    cookie: version && formatVersion(version),
    bufferedBytes: connection.bufferedBytes,
  })),
});
