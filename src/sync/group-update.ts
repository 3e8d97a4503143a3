import type {Cvr, CvrUpdate} from '../cvr/types.ts';
import {type CvrVersion, formatVersion, nextVersion} from '../cvr/version.ts';
import type {Version} from '../pg/lsn.ts';
import type {ConfigChanges} from './group-desires.ts';
import {transformationHash} from './group-queries.ts';
import type {FoldedRows, GroupRows} from './group-rows.ts';
import {PokeBody} from './poke.ts';

/** What a cycle changes: the view record's write, and what clients at the old version are told. */
export interface GroupUpdate {
  readonly update: CvrUpdate;
  readonly version: CvrVersion;
  readonly body: PokeBody;
}

export interface UpdateContext {
  readonly shard: string;
  /** The registry's. */
  readonly version: Version;
  readonly replicaVersion: Version;
  readonly connectTimeMs: number;
  readonly ttlClockMs: number;
}

/**
 * Makes everything that changed since the last cycle one update, and moves the record to its version. Null if nothing
 * did: then the version stays, however far the replica went (views.md §2.3).
 */
export const updateOf = (
  cvr: Cvr,
  changes: ConfigChanges,
  rows: GroupRows,
  folded: FoldedRows,
  context: UpdateContext,
): GroupUpdate | null => {
  const moved = folded.puts.length > 0 || folded.dels.length > 0 || !changes.empty;
  if (!moved && !changes.instance) return null;
  const old = cvr.version;
  // Without anything to tell, an instance write keeps its version (views.md §3.3).
  const version = moved ? nextVersion(old, context.version) : old;
  const text = formatVersion(version);
  const body = new PokeBody(context.shard);
  for (const row of folded.puts) body.put(row);
  for (const id of folded.dels) body.delete(id);
  for (const {clientID, op} of changes.patches) body.desire(clientID, [op]);
  markGot(changes, rows, body, text);
  for (const [hash, query] of changes.removed)
    if (query.patchVersion !== null) body.got.push({op: 'del', hash});
  cvr.version = version;
  cvr.replicaVersion = context.replicaVersion;
  return {
    version,
    body,
    update: {
      clientGroupID: cvr.clientGroupID,
      expectedVersion: formatVersion(old),
      version: text,
      connectTimeMs: context.connectTimeMs,
      ttlClockMs: context.ttlClockMs,
      replicaVersion: context.replicaVersion,
      clientSchema: cvr.clientSchema,
      profileID: cvr.profileID,
      newClients: [...changes.newClients],
      deletedClients: [...changes.deletedClients],
      queries: [
        ...[...changes.queries].map(query => ({...query, deleted: false})),
        ...[...changes.removed.values()].map(query => ({
          ...query,
          patchVersion: text,
          transformationHash: null,
          transformationVersion: null,
          deleted: true,
        })),
      ],
      desires: [...changes.desires.values()].map(({clientID, hash, desire}) => ({...desire, clientID, hash})),
      rows: rows.writes(folded),
    },
  };
};

/** Queries whose graph was hydrated: their rows come in the same poke. */
const markGot = (changes: ConfigChanges, rows: GroupRows, body: PokeBody, version: string): void => {
  for (const query of changes.queries) {
    const graph = rows.graphOf(query.hash);
    if (!graph) continue;
    const hash = transformationHash(graph);
    if (query.transformationHash !== hash) {
      query.transformationHash = hash;
      query.transformationVersion = version;
    }
    if (query.patchVersion === null && !query.internal) {
      query.patchVersion = version;
      body.got.push({op: 'put', hash: query.hash});
    }
  }
};
