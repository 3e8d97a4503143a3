import {COSTS, type Cost, type Costs, mapCosts} from './costs.ts';

/** What is measured at each size, per unit: a group that comes, a second of doing nothing, a change of each sort. */
export const PHASES = ['connect', 'idle', 'shared', 'own', 'unrelated'] as const;
export type Phase = (typeof PHASES)[number];
export type Measured = Readonly<Record<Phase, Costs>>;

/** How many groups in all, on how many view-syncers. */
export interface Size {
  readonly groups: number;
  readonly nodes: number;
}

/** What each further view-syncer costs again, whoever it serves: it applies every change and keeps every graph. */
const PER_NODE: ReadonlySet<Cost> = new Set(['serverCpuMs', 'changeBytes']);

/** Cost = fixed (× nodes, for some) + perGroup × groups. */
export interface Line {
  readonly fixed: Costs;
  readonly perGroup: Costs;
}

export type Model = Readonly<Record<Phase, Line>>;

/**
 * What grows with the number of groups. All else is taken to be the same however many there are, which is what the check at
 * larger sizes is about: a change is routed past the groups that it does not concern.
 */
const GROWS: Readonly<Record<Phase, readonly Cost[]>> = {
  connect: [],
  idle: ['serverCpuMs'],
  shared: ['serverCpuMs', 'postgresCpuMs', 'walBytes', 'pokeBytes'],
  own: [],
  unrelated: [],
};

/** A line through what was measured on one view-syncer, with one group and with many. */
export const fitModel = (one: Measured, many: Measured, groups: number): Model => {
  const line = (phase: Phase): Line => {
    // The first group of all also brings the graphs that the others share.
    if (phase === 'connect') return {fixed: many.connect, perGroup: mapCosts(() => 0)};
    const slope = (cost: Cost) =>
      GROWS[phase].includes(cost) ? Math.max(0, many[phase][cost] - one[phase][cost]) / (groups - 1) : 0;
    const fixed = (cost: Cost) =>
      slope(cost) > 0
        ? Math.max(0, one[phase][cost] - slope(cost))
        : (one[phase][cost] + many[phase][cost]) / 2;
    return {fixed: mapCosts(fixed), perGroup: mapCosts(slope)};
  };
  return {
    connect: line('connect'),
    idle: line('idle'),
    shared: line('shared'),
    own: line('own'),
    unrelated: line('unrelated'),
  };
};

export const predict = (model: Model, phase: Phase, {groups, nodes}: Size): Costs => {
  const {fixed, perGroup} = model[phase];
  // A group comes to one node.
  const copies = (cost: Cost) => (phase !== 'connect' && PER_NODE.has(cost) ? nodes : 1);
  return mapCosts(cost => fixed[cost] * copies(cost) + perGroup[cost] * groups);
};

const NAMES: Readonly<Record<Phase, string>> = {
  connect: 'a group connects',
  idle: 'a second of idleness',
  shared: 'a change that all have',
  own: 'a change that one has',
  unrelated: 'a change that none has',
};

const HEADINGS: Readonly<Record<Cost, string>> = {
  managerCpuMs: 'CPU manager',
  serverCpuMs: 'CPU view-syncers',
  postgresCpuMs: 'CPU PostgreSQL',
  memoryBytes: 'memory',
  walBytes: 'WAL of PostgreSQL',
  pokeBytes: 'to clients',
  changeBytes: 'between nodes',
  ms: 'time',
};

/** Markdown: costs of each phase at one size, and what the model says where it did not see the size. */
export const renderMeasured = (size: Size, measured: Measured, model: Model | null): string => {
  const rows = PHASES.map(phase => {
    const predicted = model ? predict(model, phase, size) : null;
    const cells = COSTS.map(cost => {
      // Elsewhere the growth of memory is that of garbage not yet collected.
      if (cost === 'memoryBytes' && phase !== 'connect') return '';
      // Everything shares one machine here, so that time says nothing of several.
      const guess = predicted && cost !== 'ms' ? ` (${format(cost, predicted[cost])})` : '';
      return format(cost, measured[phase][cost]) + guess;
    });
    return `| ${[NAMES[phase], ...cells].join(' | ')} |`;
  });
  return [
    `${size.groups} groups on ${size.nodes} view-syncers${model ? ', in brackets what the model predicts' : ''}`,
    '',
    `| per | ${COSTS.map(cost => HEADINGS[cost]).join(' | ')} |`,
    `|${'---|'.repeat(COSTS.length + 1)}`,
    ...rows,
    '',
  ].join('\n');
};

/** Markdown: the model itself, per node and per 1,000 groups. */
export const renderModel = (model: Model): string => {
  const costs = COSTS.filter(cost => cost !== 'ms');
  const row = (name: string, of: (cost: Cost) => number | null) => {
    const cells = costs.map(cost => {
      const value = of(cost);
      return value === null ? '' : format(cost, value);
    });
    return `| ${[name, ...cells].join(' | ')} |`;
  };
  const lines = PHASES.flatMap(phase => {
    const {fixed, perGroup} = model[phase];
    const kept = (cost: Cost, value: number) =>
      cost === 'memoryBytes' && phase !== 'connect' ? null : value;
    if (phase === 'connect') return [row('1,000 groups connect', cost => fixed[cost] * 1000)];
    return [
      row(NAMES[phase], cost => kept(cost, fixed[cost])),
      ...(GROWS[phase].length
        ? [
            row('… and per 1,000 groups', cost =>
              GROWS[phase].includes(cost) ? perGroup[cost] * 1000 : null,
            ),
          ]
        : []),
    ];
  });
  return [
    'The model. What is not said per 1,000 groups, each view-syncer and the way to it cost again.',
    '',
    `| | ${costs.map(cost => HEADINGS[cost]).join(' | ')} |`,
    `|${'---|'.repeat(costs.length + 1)}`,
    ...lines,
    '',
  ].join('\n');
};

const format = (cost: Cost, value: number): string => {
  if (cost.endsWith('Ms') || cost === 'ms')
    return Math.abs(value) >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${value.toFixed(1)} ms`;
  const kilobytes = value / 1024;
  return Math.abs(kilobytes) >= 1024 ? `${(kilobytes / 1024).toFixed(1)} MB` : `${kilobytes.toFixed(1)} KB`;
};
