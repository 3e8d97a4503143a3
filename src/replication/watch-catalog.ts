import {setTimeout as wait} from 'node:timers/promises';
import {Observable} from 'rxjs';
import type {Log} from '../observe/log.ts';
import type {Catalog, CatalogState} from '../pg/catalog.ts';
import {diffSchemas} from '../pg/schema-diff.ts';
import {schemaLimits} from '../pg/schema-limits.ts';
import type {SchemaTracker} from './schema-tracker.ts';
import {schemaUpdate} from './schema-update.ts';
import {ChainEnded, type SideChannel} from './side-channel.ts';

export interface WatchCatalogDeps {
  readonly catalog: Catalog;
  readonly tracker: SchemaTracker;
  readonly side: SideChannel;
  readonly log: Log;
  /** ms between two looks: short without event triggers, long where they only need a safety net. */
  readonly everyMs: number;
}

/** Looking takes at most this share of the time, however large the catalog is. */
const LOOK_SHARE = 0.1;

/**
 * Finds schema changes that no row announces: indexes, dropped tables, new ones without rows, publications. Reads the
 * catalog as a digest every now and then; a change is applied when the stream has come as far. Never emits.
 */
export const watchCatalog = (deps: WatchCatalogDeps): Observable<never> =>
  new Observable(() => {
    const stop = new AbortController();
    void run(deps, stop.signal);
    return () => stop.abort();
  });

const run = async (deps: WatchCatalogDeps, signal: AbortSignal): Promise<void> => {
  let told: readonly string[] = schemaLimits(deps.tracker.schema);
  let generation = -1;
  while (!signal.aborted) {
    let tookMs = 0;
    try {
      // What the stream has brought may be undone by now: the catalog then looks as it did at the last time.
      if (generation !== deps.tracker.generation) deps.catalog.forget();
      tookMs = await look(deps);
      if (generation !== deps.tracker.generation) {
        generation = deps.tracker.generation;
        told = await tell(deps, told);
      }
    } catch (err) {
      if (signal.aborted || err instanceof ChainEnded) return;
      deps.log.warn({err}, "upstream's catalog could not be read");
    }
    await wait(Math.max(deps.everyMs, tookMs / LOOK_SHARE), undefined, {signal}).catch(() => {});
  }
};

/** @returns the ms that reading took. */
const look = async (deps: WatchCatalogDeps): Promise<number> => {
  const {catalog, tracker} = deps;
  const started = performance.now();
  const before = tracker.generation;
  const state = await catalog.readIfChanged();
  const tookMs = performance.now() - started;
  if (!state) return tookMs;
  await deps.side.reached(state.lsn);
  // A schema that the stream brought meanwhile may be later than what was read.
  if (tracker.generation !== before) catalog.forget();
  else await follow(deps, state);
  return tookMs;
};

const follow = async ({catalog, tracker, side}: WatchCatalogDeps, state: CatalogState): Promise<void> => {
  if (diffSchemas(tracker.schema, state.schema, {truncated: tracker.truncated}).length === 0) return;
  await side.push({kind: 'schema', update: schemaUpdate(state.schema, state.snapshot), bytes: 0});
  // Indexes that the rows did not allow yet are tried again.
  if (diffSchemas(tracker.schema, state.schema).length > 0) catalog.forget();
};

/** Mends what can be mended upstream and says what clients will miss; `told`: what was said before. */
const tell = async (
  {catalog, tracker, log}: WatchCatalogDeps,
  told: readonly string[],
): Promise<readonly string[]> => {
  for (const {table, statement, error} of await catalog.mend(tracker.schema))
    if (error)
      log.warn(
        {err: error},
        `rows of table ${table} cannot be updated or deleted upstream; an owner must run: ${statement}`,
      );
    else log.info(`gave table ${table} a replica identity: ${statement}`);
  const limits = schemaLimits(tracker.schema);
  for (const limit of limits) if (!told.includes(limit)) log.warn(limit);
  return limits;
};
