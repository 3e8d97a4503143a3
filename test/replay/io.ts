import {PassThrough} from 'node:stream';
import {type Io, runFixtureReplay} from '../../src/cli/fixture-replay.ts';

/** Runs `fixture-replay` in this process and returns what it prints. */
export const fixtureReplay = async (...argv: string[]): Promise<{code: number; out: string; err: string}> => {
  const printed = {out: '', err: ''};
  const stream = (name: 'out' | 'err') =>
    new PassThrough().on('data', (chunk: Buffer) => {
      printed[name] += chunk.toString();
    });
  const io: Io = {stdout: stream('out'), stderr: stream('err'), stdin: new PassThrough()};
  const code = await runFixtureReplay(argv, io);
  // What was written last is delivered in the next turn.
  await new Promise(resolve => setImmediate(resolve));
  return {code, ...printed};
};
