import {copyFileSync, existsSync} from 'node:fs';
import {join} from 'node:path';
import {type Divergence, firstDivergence} from './divergence.ts';

/** What a replay of a fixture came to. */
export interface Outcome {
  readonly divergences: readonly Divergence[];
  /** Expectations written anew. */
  readonly blessed: readonly string[];
  /** What was replayed, for the report: `3 transactions, 12 changes`. */
  readonly summary: string;
  readonly bytes: number;
  readonly ms: number;
}

export interface Output {
  /** Name of the expectation in the fixture's folder. */
  readonly name: string;
  /** Where the replay wrote its own. */
  readonly got: string;
  /** True if the replay stopped in the middle, so that its output is a beginning only. */
  readonly prefix?: boolean;
}

/** Compares each output with its expectation, or makes it the expectation. */
export const settle = async (
  dir: string,
  outputs: readonly Output[],
  {bless}: {readonly bless: boolean},
): Promise<Pick<Outcome, 'divergences' | 'blessed'>> => {
  const divergences: Divergence[] = [];
  const blessed: string[] = [];
  for (const {name, got, prefix = false} of outputs) {
    const expected = join(dir, name);
    const divergence = existsSync(expected)
      ? await firstDivergence(name, expected, got, {prefix})
      : {file: name, line: 1, words: 'there is no such file yet', writtenAt: null, expected: null, got: null};
    if (!divergence) continue;
    if (bless) {
      copyFileSync(got, expected);
      blessed.push(name);
    } else divergences.push(divergence);
  }
  return {divergences, blessed};
};
