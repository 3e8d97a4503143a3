import {catchError, concatMap, defer, EMPTY, filter, from, map, type Observable, tap} from 'rxjs';
import {conflateMap} from '../src/flow/conflate-map.ts';
import {type StageBoard, stages} from '../src/flow/stage.ts';
import type {ClientGroup} from '../src/sync/client-group.ts';

/**
 * The chain of one client group: wake → prepare → fold → commit → poke, one cycle at a time. Whatever wakes it during a
 * cycle is served by the next, so back pressure is coalescing. A fault ends this group and no other.
 */
export const serveGroup = (group: ClientGroup, board: StageBoard): Observable<unknown> => {
  const stage = stages(board, 'client-group');
  const cycle = () =>
    defer(() => from([group])).pipe(
      filter(() => !group.ended),
      stage(
        'prepare',
        concatMap(() => group.prepare()),
        {settles: 'each'},
      ),
      filter(() => !group.ended),
      stage(
        'fold',
        map(prepared => group.fold(prepared)),
      ),
      stage(
        'commit',
        concatMap(folded => group.commit(folded)),
        {settles: 'each'},
      ),
      stage(
        'poke',
        tap(folded => group.poke(folded)),
      ),
    );
  return group.wake.pipe(
    conflateMap(cycle),
    catchError(error => {
      group.fail(error);
      return EMPTY;
    }),
  );
};
