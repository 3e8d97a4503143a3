import {exactly} from '../observe/units.ts';
import {deleteReplica} from '../replica/open.ts';
import type {Fixture, QueryCase} from './fixture.ts';
import {LineWriter} from './lines.ts';
import {readQueryScript} from './query-fixture.ts';
import {QueryReplica} from './query-replica.ts';
import {replayQueries} from './replay-queries.ts';
import {type Outcome, settle} from './settle.ts';
import {WorkFolder} from './work-folder.ts';

const DIFFS = 'expect.diffs.ndjson';

/**
 * Maintains a fixture's queries over its transactions on a new replica and compares the diffs of each step with what the
 * fixture expects, and the results with fresh hydrations. @throws FixtureUnusable if it cannot be read.
 */
export const replayQueryCase = async (
  {dir}: Fixture<QueryCase>,
  {bless, keep}: {readonly bless: boolean; readonly keep?: string | undefined},
): Promise<Outcome> => {
  using work = new WorkFolder();
  const started = performance.now();
  const script = await readQueryScript(dir);
  if (keep) deleteReplica(keep);
  const file = keep ?? work.file('replica.db');
  const replica = await QueryReplica.build(file, script);
  const replayed = await replayQueries(file, replica, script).finally(() => replica.close());
  const got = work.file(DIFFS);
  using out = new LineWriter(got);
  for (const line of replayed.lines) out.write(line);
  out.flush();
  // A result that disagrees with itself is wrong whatever is expected, so it is never accepted.
  const settled = await settle(dir, [{name: DIFFS, got}], {bless: bless && !replayed.disagreement});
  return {
    ...settled,
    divergences: [
      ...(replayed.disagreement
        ? [{file: 'queries', line: 0, ...replayed.disagreement, writtenAt: null, expected: null, got: null}]
        : []),
      ...settled.divergences,
    ],
    summary: `${script.queries.length} queries over ${exactly(script.transactions.length, 'transaction')}, ${exactly(replayed.changes, 'change')}`,
    bytes: out.bytes,
    ms: performance.now() - started,
  };
};
