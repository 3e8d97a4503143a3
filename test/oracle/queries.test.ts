import fc from 'fast-check';
import {test} from 'vitest';
import {genome, interpret} from './genome.ts';
import {runCase} from './run-case.ts';

test('maintained queries equal fresh ones and the meaning of ZQL, at every version', async () => {
  await fc.assert(
    fc.asyncProperty(genome, g => runCase(interpret(g))),
    {numRuns: 60, ...(process.env['ZS_SEED'] && {seed: Number(process.env['ZS_SEED'])})},
  );
}, 120_000);
