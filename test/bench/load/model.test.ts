import {expect, test} from 'vitest';
import {mapCosts} from './costs.ts';
import {fitModel, type Measured, PHASES, predict} from './model.ts';

/** Servers of which every cost is known. */
const costsAt = (groups: number, nodes: number): Measured =>
  Object.fromEntries(
    PHASES.map(phase => [
      phase,
      mapCosts(cost => {
        if (phase === 'connect') return 7;
        const grows =
          phase === 'shared' && ['serverCpuMs', 'postgresCpuMs', 'walBytes', 'pokeBytes'].includes(cost);
        const copies = ['serverCpuMs', 'changeBytes'].includes(cost) ? nodes : 1;
        return 3 * copies + (grows ? groups * 0.5 : 0);
      }),
    ]),
  ) as Record<(typeof PHASES)[number], Measured['connect']>;

test('a model of servers whose costs are lines predicts other sizes and other numbers of nodes', () => {
  const model = fitModel(costsAt(1, 1), costsAt(300, 1), 300);
  for (const size of [
    {groups: 1800, nodes: 3},
    {groups: 5, nodes: 9},
  ])
    for (const phase of PHASES) {
      const predicted = predict(model, phase, size);
      const wanted = costsAt(size.groups, size.nodes)[phase];
      expect(mapCosts(cost => Math.round(predicted[cost] * 1e6))).toEqual(
        mapCosts(cost => Math.round(wanted[cost] * 1e6)),
      );
    }
});
