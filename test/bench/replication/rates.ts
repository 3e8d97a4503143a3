import type {Bench} from '../helpers/world.ts';
import {applyRates} from './apply.ts';
import {initialSync} from './initial-sync.ts';

/** Initial sync beside its limits, then what is applied while rows change: all on the same data. */
export const rates: Bench = {
  name: 'rates',
  figures: ['T3', 'T3/copy', 'T3/import', 'T4', 'apply/tx', 'apply/rows'],
  run: async (world, kind) => {
    if (world.wants('T3', 'T3/copy', 'T3/import', 'T4')) await initialSync(world, kind);
    if (world.wants('apply/tx', 'apply/rows')) await applyRates(world, kind);
  },
};
