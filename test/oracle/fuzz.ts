import {join} from 'node:path';
import {parseArgs} from 'node:util';
import fc from 'fast-check';
import {writeQueryFixture} from '../../src/replay/query-fixture.ts';
import {type Genome, genome, interpret} from './genome.ts';
import {runCase} from './run-case.ts';

/**
 * `npm run fuzz -- --minutes 30 [--seed N]`: rounds of random cases until the time is over. A counterexample is shrunk,
 * written under `fixtures/queries` for `fixture-replay`, and ends the run with exit code 1.
 */
const {values} = parseArgs({options: {minutes: {type: 'string', default: '1'}, seed: {type: 'string'}}});
const endAtMs = Date.now() + Number(values.minutes) * 60_000;
const ROUND = 200;
let seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
let runs = 0;

for (;;) {
  const result = await fc.check(
    fc.asyncProperty(genome, g => runCase(interpret(g))),
    {
      seed,
      numRuns: ROUND,
      endOnFailure: false,
      interruptAfterTimeLimit: Math.max(60_000, endAtMs - Date.now()),
    },
  );
  runs += result.numRuns;
  if (result.failed && result.counterexample) {
    const [found] = result.counterexample as [Genome];
    const dir = join('fixtures', 'queries', `fuzz-${seed}`);
    writeQueryFixture(dir, `a counterexample of seed ${seed}`, interpret(found));
    const {message} = (result.errorInstance ?? {}) as {message?: string};
    process.stdout.write(`seed ${seed}: counterexample after ${runs} cases: ${message}\nwritten to ${dir}\n`);
    process.exit(1);
  }
  process.stdout.write(`seed ${seed}: ${result.numRuns} cases hold (${runs} in all)\n`);
  if (Date.now() >= endAtMs) break;
  seed = (seed + 1) % 2 ** 31;
}
process.stdout.write(`no counterexample in ${runs} cases\n`);
