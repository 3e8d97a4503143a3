import type {Lane, StageFlow} from '../flow.ts';
import type {DaemonInspection} from '../inspection.ts';
import {bytesText, countText, durationText, percentText} from '../units.ts';
import {h, svg} from './dom.ts';

/** Rates seen so far per stage, newest last: the little curves. */
export type History = Map<string, number[]>;

const POINTS = 60;

export const remember = (history: History, lanes: readonly Lane[]): void => {
  for (const {process, chains} of lanes)
    for (const {stages} of chains)
      for (const stage of stages) {
        const key = `${process}/${stage.name}`;
        const rates = history.get(key) ?? [];
        rates.push(stage.inPerSecond);
        if (rates.length > POINTS) rates.shift();
        history.set(key, rates);
      }
};

/** The picture: a lane per process, a row per chain, a card per stage, arrows that move while something flows. */
export const chainView = (
  inspection: DaemonInspection,
  lanes: readonly Lane[],
  history: History,
  chosen: string | null,
  choose: (key: string) => void,
): HTMLElement[] =>
  lanes.map(({process, chains}) =>
    h(
      'div',
      {class: 'lane'},
      h('h3', {}, process, h('small', {}, laneFacts(inspection, process))),
      ...chains.map(({name, stages}) =>
        h(
          'div',
          {class: 'row', role: 'group', 'aria-label': name},
          h('span', {class: 'chain'}, name),
          ...ends(inspection, name).before,
          ...stages.flatMap((stage, i) => [
            arrow(i === 0 ? stage.inPerSecond : (stages[i - 1]?.outPerSecond ?? 0)),
            card(`${process}/${stage.name}`, stage, history, chosen, choose),
          ]),
          arrow(stages.at(-1)?.outPerSecond ?? 0),
          ...ends(inspection, name).after,
        ),
      ),
    ),
  );

const laneFacts = ({replicator, workers}: DaemonInspection, process: string): string => {
  if (process === 'replicator')
    return replicator
      ? `${replicator.state} · applied ${replicator.appliedVersion ?? 'nothing yet'} · acknowledged ${replicator.ackedLsn ?? 'nothing yet'}`
      : '';
  const worker = workers.find(({index}) => process === `sync-worker-${index}`);
  return worker ? `at ${worker.version ?? 'nothing yet'} · ${worker.graphs.length} graphs` : '';
};

/** What stands at both ends of a chain. */
const ends = ({replicator, workers}: DaemonInspection, chain: string) => {
  const clients = workers.reduce((n, {groups}) => n + groups.reduce((m, g) => m + g.clients.length, 0), 0);
  const slot = replicator?.slot;
  const postgres = store(
    'PostgreSQL',
    slot
      ? `${slot.walStatus ?? 'slot'}${slot.retainedBytes === null ? '' : ` · ${bytesText(slot.retainedBytes)} WAL`}`
      : '',
  );
  const replica = store(
    'replica',
    replicator ? `${bytesText(replicator.replicaBytes)} + ${bytesText(replicator.walBytes)} WAL` : 'SQLite',
  );
  switch (chain) {
    case 'initial-sync':
      return {before: [postgres], after: [replica]};
    case 'replication':
      return {before: [postgres], after: [store('slot', replicator?.ackedLsn ?? '')]};
    case 'query':
      return {
        before: [replica],
        after: [store('groups', countText(workers.reduce((n, w) => n + w.groups.length, 0)))],
      };
    case 'client-group':
      return {before: [store('graphs', '')], after: [store('clients', countText(clients))]};
    case 'mutations':
      return {before: [store('clients', countText(clients))], after: [store('PostgreSQL', '')]};
    default:
      return {before: [], after: []};
  }
};

const store = (name: string, facts: string): HTMLElement =>
  h('div', {class: 'store'}, h('b', {}, name), h('small', {}, facts));

const arrow = (perSecond: number): SVGElement =>
  svg(
    'svg',
    {
      class: perSecond > 0 ? 'arrow flowing' : 'arrow',
      viewBox: '0 0 36 12',
      width: '36',
      height: '12',
      'aria-hidden': 'true',
      // Faster with the logarithm of the rate: one a second and a thousand look different, both can be followed.
      style: `--beat:${(1.6 / (1 + Math.log10(1 + perSecond))).toFixed(2)}s`,
    },
    svg('path', {d: 'M0 6H30'}),
    svg('path', {class: 'head', d: 'M28 2l6 4-6 4z'}),
  );

const card = (
  key: string,
  stage: StageFlow,
  history: History,
  chosen: string | null,
  choose: (key: string) => void,
): HTMLElement =>
  h(
    'button',
    {
      type: 'button',
      class: `stage${stage.running || stage.inPerSecond > 0 ? '' : ' idle'}`,
      'data-key': key,
      'aria-pressed': String(key === chosen),
      click: () => choose(key),
    },
    h('b', {}, stage.label),
    h('span', {class: 'rate'}, `${countText(stage.inPerSecond)}/s`),
    curve(history.get(key) ?? []),
    h(
      'span',
      {class: 'load', title: `busy ${percentText(stage.busy)}, waiting ${percentText(stage.waiting)}`},
      h('i', {class: 'busy', style: `width:${(stage.busy * 100).toFixed(1)}%`}),
      h('i', {class: 'waiting', style: `width:${(stage.waiting * 100).toFixed(1)}%`}),
    ),
    h(
      'small',
      {},
      [
        stage.lagMs === null ? '' : `lag ${durationText(stage.lagMs)}`,
        stage.inFlight ? `${countText(stage.inFlight)} in flight` : '',
      ]
        .filter(Boolean)
        .join(' · ') || ' ',
    ),
  );

const curve = (rates: readonly number[]): SVGElement => {
  const top = Math.max(1, ...rates);
  const points = rates
    .map(
      (rate, i) =>
        `${((i + POINTS - rates.length) * (96 / (POINTS - 1))).toFixed(1)},${(22 - (rate / top) * 20).toFixed(1)}`,
    )
    .join(' ');
  return svg(
    'svg',
    {class: 'curve', viewBox: '0 0 96 24', preserveAspectRatio: 'none', 'aria-hidden': 'true'},
    svg('polyline', {points}),
  );
};

/** Every counter of the chosen stage. */
export const detailView = (lanes: readonly Lane[], chosen: string | null): HTMLElement[] => {
  for (const {process, chains} of lanes)
    for (const {stages} of chains)
      for (const stage of stages) {
        if (`${process}/${stage.name}` !== chosen) continue;
        const facts: [string, string][] = [
          ['in', `${countText(stage.inPerSecond)}/s · ${countText(stage.itemsIn)} in all`],
          ['out', `${countText(stage.outPerSecond)}/s · ${countText(stage.itemsOut)} in all`],
          ['bytes in', `${bytesText(stage.bytesPerSecond)}/s · ${bytesText(stage.bytesIn)} in all`],
          ['busy', `${percentText(stage.busy)} · ${durationText(stage.busyMs)} in all`],
          ['waiting', stage.inFlight === null ? 'never: done when next returns' : percentText(stage.waiting)],
          [
            'in flight',
            stage.inFlight === null
              ? 'nothing'
              : `${stage.inFlight} items · ${bytesText(stage.bytesInFlight ?? 0)}`,
          ],
          ['lag behind the commit', stage.lagMs === null ? 'not measured here' : durationText(stage.lagMs)],
          ['measured', stage.lagAgeMs === null ? '–' : `${durationText(stage.lagAgeMs)} ago`],
        ];
        return [
          h('h3', {}, `${process} · ${stage.name}`),
          h('dl', {}, ...facts.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])),
        ];
      }
  return [
    h('p', {class: 'hint'}, 'Choose a stage to see all of its counters. Arrow keys move between stages.'),
  ];
};
