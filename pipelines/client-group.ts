import type {Observable} from 'rxjs';
import {afterTurn} from '../src/flow/after-turn.ts';
import {runEach} from '../src/flow/run-each.ts';
import {type StageBoard, stages} from '../src/flow/stage.ts';
import type {ClientGroup} from '../src/sync/client-group.ts';
import type {CommitTimes} from '../src/sync/commit-times.ts';

/**
 * The chain of a worker's client groups. A group that is woken goes through it once: gather (an epoch has told all it
 * concerns) → prepare → fold → commit → poke. It is never twice under way; whatever wakes it meanwhile makes it go again
 * afterwards, so back pressure is coalescing. Groups do not wait for each other. A fault ends its group and no other.
 */
export const serveGroups = (
  woken: Observable<ClientGroup>,
  board: StageBoard,
  times: CommitTimes,
): Observable<ClientGroup> => {
  const stage = stages(board, 'client-group');
  const each = (work: (group: ClientGroup) => void | Promise<void>) =>
    runEach(work, (error, group: ClientGroup) => group.fail(error));
  return woken.pipe(
    stage('gather', afterTurn(), {settles: 'each'}),
    stage(
      'prepare',
      each(group => group.prepare()),
      {settles: 'each'},
    ),
    stage(
      'fold',
      each(group => group.fold()),
    ),
    stage(
      'commit',
      each(group => group.commit()),
      {settles: 'each'},
    ),
    stage(
      'poke',
      each(group => group.poke()),
      {committedMs: ({pokedState}) => pokedState && times.of(pokedState)},
    ),
  );
};
