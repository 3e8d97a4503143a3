import type {Lane, StageFlow} from '../flow.ts';
import {bytesText, countText, durationText, percentText} from '../units.ts';
import {h} from './dom.ts';

/** Every counter of the chosen stage. */
export const detailView = (lanes: readonly Lane[], chosen: string | null): HTMLElement[] => {
  for (const {process, chains} of lanes)
    for (const {stages} of chains)
      for (const stage of stages)
        if (`${process}/${stage.name}` === chosen)
          return [
            h('h3', {}, `${process} · ${stage.name}`),
            h(
              'dl',
              {},
              ...factsOf(stage).map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
            ),
          ];
  return [
    h('p', {class: 'hint'}, 'Choose a stage to see all of its counters. Arrow keys move between stages.'),
  ];
};

const factsOf = (stage: StageFlow): [string, string][] => [
  ['in', `${countText(stage.inPerSecond)}/s · ${countText(stage.itemsIn)} in all`],
  ['out', `${countText(stage.outPerSecond)}/s · ${countText(stage.itemsOut)} in all`],
  ['bytes in', `${bytesText(stage.bytesPerSecond)}/s · ${bytesText(stage.bytesIn)} in all`],
  ['busy', `${percentText(stage.busy)} · ${durationText(stage.busyMs)} in all`],
  ['waiting', stage.inFlight === null ? 'never: done when next returns' : percentText(stage.waiting)],
  [
    'in flight',
    stage.inFlight === null ? 'nothing' : `${stage.inFlight} items · ${bytesText(stage.bytesInFlight ?? 0)}`,
  ],
  ['lag behind the commit', stage.lagMs === null ? 'not measured here' : durationText(stage.lagMs)],
  ['measured', stage.lagAgeMs === null ? '–' : `${durationText(stage.lagAgeMs)} ago`],
];
