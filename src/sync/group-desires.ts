import {clampTtl} from '../cvr/ttl.ts';
import type {Cvr, Desire, QueryRecord} from '../cvr/types.ts';
import type {DownQueryOp} from '../protocol/down.ts';
import {protocolError} from '../protocol/error-body.ts';
import type {UpQueryOp} from '../protocol/up.ts';
import {isInternal} from './internal-queries.ts';

/** Changes of a view record's queries, desires and clients that are not yet written. */
export class ConfigChanges {
  readonly newClients = new Set<string>();
  readonly deletedClients = new Set<string>();
  /** Records to write: new or changed. */
  readonly queries = new Set<QueryRecord>();
  /** Queries that were given up: their got state is withdrawn. */
  readonly removed = new Map<string, QueryRecord>();
  readonly desires = new Map<
    string,
    {readonly clientID: string; readonly hash: string; readonly desire: Desire}
  >();
  readonly patches: {readonly clientID: string; readonly op: DownQueryOp}[] = [];
  /** The instance row alone: client schema or profile. */
  instance = false;
  /** Clients whose deletion all others are to hear of, known ones or not. */
  readonly acknowledgeDeleted: string[] = [];

  get empty(): boolean {
    return (
      !this.newClients.size &&
      !this.deletedClients.size &&
      !this.queries.size &&
      !this.removed.size &&
      !this.desires.size
    );
  }

  desire(clientID: string, hash: string, desire: Desire): void {
    this.desires.set(`${clientID}\0${hash}`, {clientID, hash, desire});
    this.patches.push({clientID, op: {op: desire.deleted ? 'del' : 'put', hash}});
  }
}

export const ensureClient = (cvr: Cvr, changes: ConfigChanges, clientID: string): void => {
  if (cvr.clients.has(clientID)) return;
  cvr.clients.add(clientID);
  changes.deletedClients.delete(clientID);
  changes.newClients.add(clientID);
};

/** Applies a client's patch in order (views.md §3.3). `nowMs` is on the group's TTL clock. */
export const patchDesires = (
  cvr: Cvr,
  changes: ConfigChanges,
  clientID: string,
  patch: readonly UpQueryOp[],
  nowMs: number,
): void => {
  for (const op of patch) {
    if (op.op === 'put') putDesire(cvr, changes, clientID, op);
    else if (op.op === 'del') inactivate(cvr, changes, clientID, op.hash, nowMs);
    else for (const hash of cvr.queries.keys()) clear(cvr, changes, clientID, hash);
  }
};

const putDesire = (
  cvr: Cvr,
  changes: ConfigChanges,
  clientID: string,
  op: Extract<UpQueryOp, {op: 'put'}>,
) => {
  const {hash} = op;
  if (isInternal(hash)) throw protocolError('InvalidMessage', `"${hash}" is not a query hash.`);
  let query = cvr.queries.get(hash);
  if (!query) {
    if (!op.ast && op.name === undefined)
      throw protocolError('InvalidMessage', 'A desired query needs either an ast or a name.');
    query = {
      hash,
      ast: op.ast ?? null,
      name: op.ast ? null : (op.name ?? null),
      args: op.ast ? null : (op.args ?? []),
      internal: false,
      patchVersion: null,
      transformationHash: null,
      transformationVersion: null,
      desires: new Map(),
    };
    cvr.queries.set(hash, query);
    changes.removed.delete(hash);
    changes.queries.add(query);
  }
  const ttlMs = clampTtl(op.ttl);
  const known = query.desires.get(clientID);
  // A shorter ttl never lowers a longer one, and what is wanted already needs no echo.
  if (known && known.inactivatedAtMs === null && clampTtl(known.ttlMs) >= ttlMs) return;
  const desire: Desire = {ttlMs, inactivatedAtMs: null, deleted: false};
  query.desires.set(clientID, desire);
  changes.desire(clientID, hash, desire);
};

const inactivate = (cvr: Cvr, changes: ConfigChanges, clientID: string, hash: string, nowMs: number) => {
  const desire = cvr.queries.get(hash)?.desires.get(clientID);
  if (!desire || desire.inactivatedAtMs !== null) return;
  desire.inactivatedAtMs = nowMs;
  desire.deleted = true;
  changes.desire(clientID, hash, desire);
};

const clear = (cvr: Cvr, changes: ConfigChanges, clientID: string, hash: string) => {
  const query = cvr.queries.get(hash);
  const desire = query?.desires.get(clientID);
  if (!query || !desire) return;
  query.desires.delete(clientID);
  changes.desire(clientID, hash, {...desire, inactivatedAtMs: null, deleted: true});
};

/** Forgets clients; their queries live on for their ttl. @returns those that were known. */
export const deleteClients = (
  cvr: Cvr,
  changes: ConfigChanges,
  clientIDs: Iterable<string>,
  nowMs: number,
): string[] => {
  const deleted: string[] = [];
  for (const clientID of clientIDs) {
    if (!cvr.clients.delete(clientID)) continue;
    deleted.push(clientID);
    changes.newClients.delete(clientID);
    changes.deletedClients.add(clientID);
    for (const hash of cvr.queries.keys()) inactivate(cvr, changes, clientID, hash, nowMs);
  }
  return deleted;
};
