import {setTimeout as wait} from 'node:timers/promises';
import {Observable} from 'rxjs';
import type {Log} from '../observe/log.ts';
import type {Catalog} from '../pg/catalog.ts';
import {diffSchemas} from '../pg/schema-diff.ts';
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
  const {catalog, tracker, side} = deps;
  while (!signal.aborted) {
    const started = performance.now();
    let tookMs = 0;
    try {
      const before = tracker.generation;
      const state = await catalog.readIfChanged();
      tookMs = performance.now() - started;
      if (state) {
        await side.reached(state.lsn);
        // A schema that the stream brought meanwhile may be later than what was read.
        if (tracker.generation !== before) catalog.forget();
        else if (diffSchemas(tracker.schema, state.schema, {truncated: tracker.truncated}).length > 0) {
          const update = schemaUpdate(state.schema, state.snapshot);
          await side.push({kind: 'schema', update, bytes: 0});
          // Indexes that the rows did not allow yet are tried again.
          if (diffSchemas(tracker.schema, state.schema).length > 0) catalog.forget();
        }
      }
    } catch (err) {
      if (signal.aborted || err instanceof ChainEnded) return;
      deps.log.warn({err}, "upstream's catalog could not be read");
    }
    await wait(Math.max(deps.everyMs, tookMs / LOOK_SHARE), undefined, {signal}).catch(() => {});
  }
};
