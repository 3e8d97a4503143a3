import {FixtureUnusable} from '../errors.ts';
import {bytesText, exactly} from '../observe/units.ts';
import {conversationsOf} from '../replay/conversation/files.ts';
import type {Divergence} from '../replay/divergence.ts';
import {type Fixture, findFixtures, type QueryCase, readFixture, type WalCase} from '../replay/fixture.ts';
import {replayQueryCase} from '../replay/replay-query-case.ts';
import type {Outcome} from '../replay/settle.ts';
import {replayWalCase, type WalCaseOptions} from './replay-wal-case.ts';

export interface ReplayOptions extends WalCaseOptions {
  readonly diff: boolean;
  /** Where conversations may have a database for their view records; without it they are left out. */
  readonly postgres?: string | undefined;
}

/** Replays every fixture below the paths, a line each, then a summary. @returns the exit code. */
export const replayFixtures = async (
  paths: readonly string[],
  options: ReplayOptions,
  output: NodeJS.WritableStream,
): Promise<number> => {
  const dirs = findFixtures(paths);
  if (options.keep && dirs.length > 1)
    throw new FixtureUnusable(`--keep is for one fixture; ${dirs.length} are named.`);
  const counts = {same: 0, blessed: 0, different: 0, unusable: 0};
  for (const dir of dirs)
    try {
      const fixture = readFixture(dir);
      const outcome = await replayCase(fixture, options);
      counts[outcome.divergences.length ? 'different' : outcome.blessed.length ? 'blessed' : 'same']++;
      output.write(report(fixture.name, outcome, options.diff));
    } catch (error) {
      if (!(error instanceof FixtureUnusable) || dirs.length === 1) throw error;
      counts.unusable++;
      output.write(`✗ ${dir}: ${error.message}\n`);
    }
  const parts = [
    `${counts.same} as expected`,
    ...(counts.blessed ? [`${counts.blessed} blessed`] : []),
    ...(counts.different ? [`${counts.different} different`] : []),
    ...(counts.unusable ? [`${counts.unusable} unusable`] : []),
  ];
  output.write(`${exactly(dirs.length, 'fixture')}: ${parts.join(', ')}\n`);
  if (counts.different && !options.diff)
    output.write('--diff shows the first difference of each in full; --bless accepts what came out.\n');
  return counts.unusable ? 2 : counts.different ? 1 : 0;
};

const replayCase = (fixture: Fixture, options: ReplayOptions): Promise<Outcome> => {
  switch (fixture.case.kind) {
    case 'wal':
      return replayRecording({...fixture, case: fixture.case}, options);
    case 'queries':
      return replayQueryCase({...fixture, case: fixture.case} satisfies Fixture<QueryCase>, options);
  }
};

/** Stream and replica; then, of a whole replay, what was said with clients. */
const replayRecording = async (fixture: Fixture<WalCase>, options: ReplayOptions): Promise<Outcome> => {
  const outcome = await replayWalCase(fixture, options);
  const {postgres, bless} = options;
  if (options.until !== undefined || options.step || conversationsOf(fixture.dir).length === 0)
    return outcome;
  if (postgres === undefined)
    return {...outcome, summary: `${outcome.summary}, what was said with clients left out (--postgres)`};
  // Loaded for conversations only: it is the server's whole serving half.
  const {replayConversation} = await import('./replay-conversation.ts');
  const said = await replayConversation(fixture, {bless, postgres});
  return {
    divergences: [...outcome.divergences, ...said.divergences],
    blessed: [...outcome.blessed, ...said.blessed],
    summary: `${outcome.summary}, ${said.summary}`,
    bytes: outcome.bytes + said.bytes,
    ms: outcome.ms + said.ms,
  };
};

const report = (name: string, outcome: Outcome, diff: boolean): string => {
  const {divergences, blessed, summary, bytes, ms} = outcome;
  const mark = divergences.length ? '✗' : '✓';
  const notes = blessed.length ? `; wrote ${blessed.join(', ')}` : '';
  const lines = [`${mark} ${name}  ${summary}, ${bytesText(bytes)}, ${Math.round(ms)} ms${notes}`];
  for (const divergence of divergences) lines.push(...explain(divergence, diff));
  return `${lines.join('\n')}\n`;
};

const explain = ({file, line, words, writtenAt, expected, got}: Divergence, diff: boolean): string[] => {
  const lines = [`    ${line ? `${file}:${line}` : file}: ${words}`];
  if (!diff) return lines;
  if (writtenAt)
    lines.push(`      last written by the transaction at ${writtenAt} (--until ${writtenAt} stops there)`);
  lines.push(`      expected  ${expected ?? '(nothing)'}`, `      got       ${got ?? '(nothing)'}`);
  return lines;
};
