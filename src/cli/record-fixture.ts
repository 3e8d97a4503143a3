import {existsSync, mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {FixtureUnusable} from '../errors.ts';
import {formatLsn, type Lsn} from '../pg/lsn.ts';
import {CASE_FILE} from '../replay/fixture.ts';
import {recordSnapshot} from '../replay/record-snapshot.ts';
import {recordWal} from '../replay/record-wal.ts';
import {replayFixtures} from './replay-fixtures.ts';

export interface RecordFlags {
  readonly upstream: string;
  readonly publication: readonly string[];
  readonly out: string;
  readonly about: string;
  readonly maxBytes: number;
  readonly seconds?: number;
  readonly untilLsn?: Lsn;
  readonly partBytes?: number;
}

const REASONS = {
  size: 'it has reached --max-bytes',
  time: 'its time is over',
  position: 'it has reached --until-lsn',
  request: 'it was asked to',
} as const;

/**
 * Records a fixture from a database of which it takes a temporary slot, then replays it once, which gives the
 * expectations to review. @returns the exit code.
 */
export const recordFixture = async (
  flags: RecordFlags,
  output: NodeJS.WritableStream,
  signal: AbortSignal,
): Promise<number> => {
  if (existsSync(join(flags.out, CASE_FILE)))
    throw new FixtureUnusable(`${flags.out} already holds a fixture; remove it or choose another folder.`);
  mkdirSync(flags.out, {recursive: true});
  const source = {url: flags.upstream, publications: flags.publication, dir: flags.out};
  const snapshot = await recordSnapshot({...source, about: flags.about, partBytes: flags.partBytes});
  output.write(`snapshot at ${formatLsn(snapshot.consistentPoint)}: ${snapshot.rows} rows\n`);
  const wal = await recordWal(snapshot, {
    ...source,
    bounds: {
      maxBytes: flags.maxBytes,
      maxMs: flags.seconds === undefined ? undefined : flags.seconds * 1000,
      untilLsn: flags.untilLsn,
      signal,
    },
    onStart: () => output.write('recording; Ctrl-C ends it\n'),
  });
  output.write(
    `recording ended, since ${REASONS[wal.endedBy]}: ${wal.transactions} transactions, ${wal.bytes} bytes\n`,
  );
  return replayFixtures([flags.out], {bless: true, diff: false}, output);
};
