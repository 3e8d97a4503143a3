import {clampTtl} from '../cvr/ttl.ts';
import type {Cvr, QueryRecord} from '../cvr/types.ts';
import type {QueryGraph} from '../ivm/registry.ts';
import {TimeDigest} from '../observe/time-digest.ts';
import type {AST, JsonValue} from '../zql/ast.ts';

/** One query as one client wants it, as the client's inspector shows it (protocol.md §3.8). Times in ms. */
export interface InspectedQuery {
  readonly clientID: string;
  readonly queryID: string;
  readonly ast: AST | null;
  readonly name: string | null;
  readonly args: readonly JsonValue[] | null;
  readonly got: boolean;
  readonly deleted: boolean;
  readonly ttl: number;
  readonly inactivatedAt: number | null;
  readonly rowCount: number;
  readonly metrics: {
    readonly 'query-hydration-server-ms': number;
    readonly 'query-update-server': readonly number[];
  } | null;
}

/** What a client group holds, for its inspector. */
export interface InspectedGroup {
  readonly cvr: Cvr;
  /** On the group's TTL clock. */
  readonly nowMs: number;
  graphOf(hash: string): QueryGraph | undefined;
}

/** Queries of one client, or of all; those whose time has run out are left out. */
export const inspectQueries = ({cvr, nowMs, graphOf}: InspectedGroup, clientID?: string): InspectedQuery[] =>
  [...cvr.queries.values()].flatMap(query =>
    query.internal
      ? []
      : [...query.desires]
          .filter(
            ([owner, {inactivatedAtMs, ttlMs}]) =>
              (clientID === undefined || owner === clientID) &&
              (inactivatedAtMs === null || inactivatedAtMs + clampTtl(ttlMs) > nowMs),
          )
          .map(([owner, desire]) => ({
            clientID: owner,
            ...described(query, graphOf(query.hash)),
            deleted: desire.deleted,
            ttl: clampTtl(desire.ttlMs),
            inactivatedAt: desire.inactivatedAtMs,
          })),
  );

const described = (query: QueryRecord, graph: QueryGraph | undefined) => ({
  queryID: query.hash,
  ast: query.ast ?? graph?.ast ?? null,
  name: query.name,
  args: query.args,
  got: query.patchVersion !== null,
  rowCount: graph?.size ?? 0,
  metrics: graph
    ? {
        'query-hydration-server-ms': graph.hydrationMs,
        'query-update-server': graph.updateTimes.toWire(),
      }
    : null,
});

/** Times of a group's queries together: until they were first answered, and to keep them up to date. */
export const inspectMetrics = (group: InspectedGroup | null) => {
  const hydrations = new TimeDigest();
  const updates = new TimeDigest();
  for (const {hash, internal} of group?.cvr.queries.values() ?? []) {
    const graph = internal ? undefined : group?.graphOf(hash);
    if (!graph) continue;
    hydrations.add(graph.hydrationMs);
    updates.merge(graph.updateTimes);
  }
  return {
    'query-materialization-server': hydrations.toWire(),
    'query-update-server': updates.toWire(),
  };
};
