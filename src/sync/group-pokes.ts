import type {CatchUp} from '../cvr/catch-up.ts';
import type {Cvr} from '../cvr/types.ts';
import {type CvrVersion, compareVersions, EMPTY, formatVersion, isEmpty} from '../cvr/version.ts';
import type {Client} from './group-clients.ts';
import type {GroupRows} from './group-rows.ts';
import {PokeBody, PokeFrames} from './poke.ts';
import type {RowSet} from './row-set.ts';

/** Catch-ups that were read, by the version they start from. */
export type CatchUps = ReadonlyMap<string, CatchUp>;

export interface Poke {
  readonly client: Client;
  readonly frames: PokeFrames;
  /** All but the last frame are sent. */
  begun: boolean;
}

export interface PokeContext {
  readonly shard: string;
  readonly cvr: Cvr;
  readonly rows: GroupRows;
  readonly catchUps: CatchUps;
  /** The version before this cycle; that of `cvr` is the one after it. */
  readonly old: CvrVersion;
  /** What clients at `old` are told; null if nothing changed. */
  readonly body: PokeBody | null;
  /** Set if `body` says nothing but these rows. */
  readonly rowsAlone: RowSet | null;
}

/**
 * Frames for every client that can be told now; clients at one version share theirs.
 * @returns also whether a client was left out because its history was not read: the next cycle serves it.
 */
export const pokesOf = (
  clients: Iterable<Client>,
  context: PokeContext,
): {pokes: readonly Poke[]; incomplete: boolean} => {
  const {version} = context.cvr;
  const frames = new Map<string, PokeFrames | null>();
  const pokes: Poke[] = [];
  let incomplete = false;
  for (const client of clients) {
    if (client.poked && client.version && compareVersions(client.version, version) === 0) continue;
    const from = client.version === null ? '' : formatVersion(client.version);
    let shared = frames.get(from);
    if (shared === undefined) frames.set(from, (shared = framesFrom(client.version, context)));
    if (shared) pokes.push({client, frames: shared, begun: false});
    else incomplete = true;
  }
  return {pokes, incomplete};
};

const framesFrom = (from: CvrVersion | null, context: PokeContext): PokeFrames | null => {
  const {shard, cvr, rows, catchUps, old, body, rowsAlone} = context;
  const cookie = formatVersion(cvr.version);
  const base = from && formatVersion(from);
  if (from === null && !isEmpty(old)) return new PokeFrames(base, cookie, wholeView(context).parts());
  if (compareVersions(from ?? EMPTY, old) === 0)
    return rowsAlone
      ? rowsAlone.frames(shard, base, cookie)
      : new PokeFrames(base, cookie, body?.parts() ?? []);
  const catchUp = base === null ? undefined : catchUps.get(base);
  if (!catchUp) return null;
  const merged = new PokeBody(shard);
  for (const [clientID, ops] of Object.entries(catchUp.desired)) merged.desire(clientID, ops);
  merged.got.push(...catchUp.got);
  for (const id of catchUp.rows) {
    // Whatever the record said, the view is what counts now; what changed since comes with `body`.
    const row = rows.get(id);
    if (row) merged.put(row);
    else merged.delete(id);
  }
  if (body) merged.append(body);
  return new PokeFrames(base, cookie, merged.parts());
};

/** Everything, for a client that holds nothing. */
const wholeView = ({shard, cvr, rows}: PokeContext): PokeBody => {
  const body = new PokeBody(shard);
  for (const query of cvr.queries.values()) {
    if (query.patchVersion !== null) body.got.push({op: 'put', hash: query.hash});
    for (const [clientID, desire] of query.desires)
      if (!desire.deleted) body.desire(clientID, [{op: 'put', hash: query.hash}]);
  }
  for (const row of rows.all()) body.put(row);
  return body;
};
