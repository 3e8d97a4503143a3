import type {Lane, StageFlow} from '../flow.ts';
import type {DaemonInspection} from '../inspection.ts';
import {followsNode} from '../topology.ts';
import {bytesText, counted, countText, durationText, percentText} from '../units.ts';
import {h, svg} from './dom.ts';
import type {History} from './history.ts';

/** One number that says how a server is. */
interface Vital {
  readonly name: string;
  readonly value: string;
  /** What belongs to it, and since when it is known. */
  readonly note: string;
  /** For the curve; null where there is nothing to measure. */
  readonly level: number | null;
}

/** The five numbers above the picture. */
export const vitalsOf = (
  now: DaemonInspection,
  before: DaemonInspection | null,
  lanes: readonly Lane[],
): readonly Vital[] => {
  const flows = lanes.flatMap(({chains}) => chains.flatMap(({stages}) => stages));
  const pokes = flows.filter(({name}) => name === 'client-group.poke');
  const poke = newest(pokes);
  const follows = followsNode(now);
  const first = flows.find(({name}) => name === (follows ? 'change-stream.apply' : 'replication.decode'));
  const slot = now.replicator?.slot;
  const groups = now.workers.flatMap(worker => worker.groups);
  const clients = groups.reduce((n, group) => n + group.clients.length, 0);
  const queries = groups.reduce((n, group) => n + group.queries.length, 0);
  const all = now.workers.flatMap(worker => worker.graphs);
  const graphs = all.filter(({subscribers}) => subscribers > 0).length;
  const memory = now.processes.reduce((n, {rssBytes}) => n + rssBytes, 0);
  const cpu =
    before && cpuOf(before) <= cpuOf(now)
      ? (cpuOf(now) - cpuOf(before)) / Math.max(1, now.atMs - before.atMs)
      : null;
  return [
    {
      name: 'commit → poke',
      value: poke?.lagMs == null ? '–' : durationText(poke.lagMs),
      note: poke?.lagAgeMs == null ? 'no poke yet' : `measured ${durationText(poke.lagAgeMs)} ago`,
      level: poke?.lagMs ?? null,
    },
    {
      name: follows ? 'from the manager' : 'from the slot',
      value: first ? `${bytesText(first.bytesPerSecond)}/s` : '–',
      note: now.replicator?.state ?? 'on another node',
      level: first?.bytesPerSecond ?? null,
    },
    {
      name: 'pokes',
      value: `${countText(pokes.reduce((n, stage) => n + stage.outPerSecond, 0))}/s`,
      note: `to ${counted(clients, 'client')} in ${counted(groups.length, 'group')}`,
      level: pokes.reduce((n, stage) => n + stage.outPerSecond, 0),
    },
    {
      name: 'query graphs',
      value: countText(graphs),
      note: `for ${counted(queries, 'query', 'queries')}${all.length > graphs ? ` · ${countText(all.length - graphs)} linger` : ''}`,
      level: graphs,
    },
    {
      name: 'kept by the slot',
      value: slot?.retainedBytes == null ? '–' : bytesText(slot.retainedBytes),
      note: slot ? `WAL status: ${slot.walStatus ?? 'not looked at yet'}` : 'no slot on this node',
      level: slot?.retainedBytes ?? null,
    },
    {
      name: 'processor',
      value: cpu === null ? '–' : percentText(cpu),
      note: `${bytesText(memory)} in ${counted(now.processes.length, 'process', 'processes')}`,
      level: cpu,
    },
  ];
};

export const vitalsView = (vitals: readonly Vital[], history: History): HTMLElement[] =>
  vitals.map(({name, value, note}) => {
    const {line, area} = history.curve(`vital/${name}`, 160, 34);
    return h(
      'div',
      {class: 'vital'},
      h('span', {}, name),
      h('strong', {}, value),
      h('small', {}, note),
      svg(
        'svg',
        {viewBox: '0 0 160 34', preserveAspectRatio: 'none', 'aria-hidden': 'true'},
        svg('path', {class: 'area', d: area}),
        svg('path', {class: 'line', d: line}),
      ),
    );
  });

const cpuOf = ({processes}: DaemonInspection): number => processes.reduce((n, {cpuMs}) => n + cpuMs, 0);

const newest = (stages: readonly StageFlow[]): StageFlow | undefined =>
  stages.toSorted((a, b) => (b.lagAtMs ?? 0) - (a.lagAtMs ?? 0))[0];
