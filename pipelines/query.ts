import {filter, map, type Observable, tap} from 'rxjs';
import {paced} from '../src/flow/paced.ts';
import {type StageBoard, stages} from '../src/flow/stage.ts';
import type {Epoch, QueryRegistry} from '../src/ivm/registry.ts';
import type {CommitTimes} from '../src/sync/commit-times.ts';
import type {VersionReady} from '../src/sync/types.ts';

/**
 * Between the beginnings of two steps: a step costs little more for many versions than for one, so under load what comes
 * close together goes together. The first after a pause starts at once.
 */
const LEAST_GAP_MS = 3;

/** Who is to hear of a graph's diffs. */
export interface EpochSink {
  /** Diffs of one epoch, and graphs that were given up. Called synchronously, while every graph is at `epoch.to`. */
  deliver(epoch: Epoch): void;
}

/**
 * The chain that moves all query graphs of a worker: version ready → advance (read the changes between two snapshots, route
 * each to the graphs it may concern; in each graph source → exists → filter | take → join, one batch per edge) → deliver.
 * Versions that come close together are served by one step.
 */
export const advanceQueries = (
  versions: Observable<VersionReady>,
  registry: QueryRegistry,
  sink: EpochSink,
  board: StageBoard,
  times: CommitTimes,
): Observable<Epoch> => {
  const stage = stages(board, 'query');
  return versions.pipe(
    paced(LEAST_GAP_MS),
    stage(
      'advance',
      map(() => registry.advance()),
      {settles: 'each'},
    ),
    filter(epoch => epoch !== null),
    stage(
      'deliver',
      tap((epoch: Epoch) => sink.deliver(epoch)),
      {committedMs: epoch => times.of(epoch.to)},
    ),
  );
};
