import {COSTS, type Cost, type Costs, mapCosts} from './costs.ts';

/** What is measured at each size, per unit: a group that comes, a second of doing nothing, a change of each sort. */
export const PHASES = ['connect', 'idle', 'shared', 'own', 'unrelated'] as const;
export type Phase = (typeof PHASES)[number];
export type Measured = Readonly<Record<Phase, Costs>>;

/** Cost = fixed + perGroup × groups. */
export interface Line {
  readonly fixed: Costs;
  readonly perGroup: Costs;
}

export type Model = Readonly<Record<Phase, Line>>;

/** A line through what was measured at one group and at `size`. */
export const fitModel = (one: Measured, at: Measured, size: number): Model => {
  const line = (phase: Phase): Line => {
    // The costs of coming do not depend on how many are there.
    if (phase === 'connect') return {fixed: at.connect, perGroup: mapCosts(() => 0)};
    const slope = (cost: Cost) => (at[phase][cost] - one[phase][cost]) / (size - 1);
    return {fixed: mapCosts(cost => one[phase][cost] - slope(cost)), perGroup: mapCosts(slope)};
  };
  return {
    connect: line('connect'),
    idle: line('idle'),
    shared: line('shared'),
    own: line('own'),
    unrelated: line('unrelated'),
  };
};

export const predict = ({fixed, perGroup}: Line, groups: number): Costs =>
  mapCosts(cost => fixed[cost] + perGroup[cost] * groups);

/** Markdown: costs of each phase at one size, and what the model says where it did not see the size. */
export const renderMeasured = (size: number, measured: Measured, model: Model | null): string => {
  const names: Record<Phase, string> = {
    connect: 'a group connects',
    idle: 'a second of idleness',
    shared: 'a change that all have',
    own: 'a change that one has',
    unrelated: 'a change that none has',
  };
  const rows = PHASES.map(phase => {
    const predicted = model ? predict(model[phase], size) : null;
    // Elsewhere the growth of memory is that of garbage not yet collected.
    const shown = (cost: Cost) => cost !== 'memoryBytes' || phase === 'connect';
    const cells = COSTS.map(cost =>
      !shown(cost)
        ? ''
        : format(cost, measured[phase][cost]) + (predicted ? ` (${format(cost, predicted[cost])})` : ''),
    );
    return `| ${[names[phase], ...cells].join(' | ')} |`;
  });
  return [
    `${size} groups${model ? ', in brackets what the model predicts' : ''}`,
    '',
    '| per | CPU | memory | WAL of PostgreSQL | network | time |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
};

const format = (cost: Cost, value: number): string =>
  cost === 'cpuMs' || cost === 'ms' ? `${value.toFixed(2)} ms` : `${(value / 1024).toFixed(1)} KB`;
