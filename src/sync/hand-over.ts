import type {QueryGraph} from '../ivm/registry.ts';

/** A group that can be sent elsewhere. */
export interface Leaving {
  graphs(): Iterable<QueryGraph>;
  leave(): void;
}

export interface Pace {
  /** All of it takes at most about this long. */
  readonly budgetMs: number;
  readonly sleep: (ms: number) => Promise<void>;
}

/** Share of its time that a server which takes the groups up should spend on it (views.md §3.10). */
const UTILISATION = 0.6;
/** What a group costs apart from its queries. */
const CONNECT_MS = 2;
/** Shorter pauses are put together. */
const LEAST_PAUSE_MS = 20;

/**
 * Sends groups elsewhere one after the other, as fast as another server can take them up: after each comes a pause for
 * the hydrations that it causes there, where graphs that groups share are hydrated once. There is none after the last.
 */
export const handOver = async (groups: readonly Leaving[], {budgetMs, sleep}: Pace): Promise<void> => {
  const pauses = pausesOf(groups);
  const total = pauses.slice(0, -1).reduce((sum, pause) => sum + pause, 0);
  const factor = Math.min(1, budgetMs / total);
  let due = 0;
  for (const [i, group] of groups.entries()) {
    group.leave();
    if (i + 1 === groups.length) return;
    due += pauses[i]! * factor;
    if (due < LEAST_PAUSE_MS) continue;
    await sleep(due);
    due = 0;
  }
};

const pausesOf = (groups: readonly Leaving[]): number[] => {
  const hydrated = new Set<QueryGraph>();
  return groups.map(group => {
    let costMs = CONNECT_MS;
    for (const graph of group.graphs()) {
      if (hydrated.has(graph)) continue;
      hydrated.add(graph);
      costMs += graph.hydrationMs;
    }
    return costMs / UTILISATION;
  });
};
