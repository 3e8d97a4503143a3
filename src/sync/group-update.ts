import type {Cvr, CvrUpdate} from '../cvr/types.ts';
import {type CvrVersion, formatVersion, nextVersion} from '../cvr/version.ts';
import type {QueryGraph} from '../ivm/registry.ts';
import type {Version} from '../pg/lsn.ts';
import type {ConfigChanges} from './group-desires.ts';
import {transformationHash} from './group-queries.ts';
import {PokeBody} from './poke.ts';
import type {RowSet} from './row-set.ts';

/** What a cycle changes: the view record's write, and what clients at the old version are told. */
export interface GroupUpdate {
  readonly update: CvrUpdate;
  readonly version: CvrVersion;
  readonly body: PokeBody;
  /** Set if `body` says nothing but these rows, so that its frames can be shared with other groups. */
  readonly rowsAlone: RowSet | null;
}

export interface UpdateContext {
  readonly shard: string;
  readonly graphOf: (hash: string) => QueryGraph | undefined;
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
  sets: readonly RowSet[],
  context: UpdateContext,
): GroupUpdate | null => {
  const moved = sets.some(({moves}) => moves) || !changes.empty;
  if (!moved && !changes.instance) return null;
  const old = cvr.version;
  // Without anything to tell, an instance write keeps its version (views.md §3.3).
  const version = moved ? nextVersion(old, context.version) : old;
  const text = formatVersion(version);
  const body = new PokeBody(context.shard);
  const moving = sets.filter(({moves}) => moves);
  for (const set of moving) body.append(set.body(context.shard));
  for (const {clientID, op} of changes.patches) body.desire(clientID, [op]);
  markGot(changes, context, body, text);
  for (const [hash, query] of changes.removed)
    if (query.patchVersion !== null) body.got.push({op: 'del', hash});
  cvr.version = version;
  cvr.replicaVersion = context.replicaVersion;
  return {
    version,
    body,
    rowsAlone: changes.empty && moving.length === 1 ? moving[0]! : null,
    update: {
      clientGroupID: cvr.clientGroupID,
      expectedVersion: formatVersion(old),
      version: text,
      connectTimeMs: context.connectTimeMs,
      ttlClockMs: context.ttlClockMs,
      replicaVersion: context.replicaVersion,
      clientSchema: changes.instance ? cvr.clientSchema : null,
      profileID: changes.instance ? cvr.profileID : null,
      newClients: [...changes.newClients],
      deletedClients: [...changes.deletedClients],
      queries: [
        ...[...changes.queries].map(query => ({...query, deleted: false})),
        ...[...changes.removed.values()].map(query => ({
          ...query,
          // What it was is no longer read, and may be what PostgreSQL cannot hold.
          ast: null,
          name: null,
          args: null,
          patchVersion: text,
          transformationHash: null,
          transformationVersion: null,
          deleted: true,
        })),
      ],
      desires: [...changes.desires.values()].map(({clientID, hash, desire}) => ({...desire, clientID, hash})),
      rows: sets.map(({columns}) => columns).filter(({keys}) => keys.length > 0),
    },
  };
};

/** Queries whose graph was hydrated: their rows come in the same poke. */
const markGot = (changes: ConfigChanges, {graphOf}: UpdateContext, body: PokeBody, version: string): void => {
  for (const query of changes.queries) {
    const graph = graphOf(query.hash);
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
