import {existsSync, mkdirSync, mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {FixtureUnusable} from '../errors.ts';
import {formatLsn, type Lsn} from '../pg/lsn.ts';
import {CASE_FILE, readFixture} from '../replay/fixture.ts';
import {recordSnapshot} from '../replay/record-snapshot.ts';
import {recordWal} from '../replay/record-wal.ts';
import {redactFixture} from '../replay/redact.ts';
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
  readonly redact?: boolean;
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
  refuseOld(flags.out);
  if (!flags.redact) {
    await record(flags.out, flags, output, signal);
    return replayFixtures([flags.out], {bless: true, diff: false}, output);
  }
  // What is to be redacted never lies in the folder that is given away, not even for a while.
  const raw = mkdtempSync(join(tmpdir(), 'zs-record-'));
  try {
    await record(raw, flags, output, signal);
    return await redactRecording(raw, flags.out, output);
  } finally {
    rmSync(raw, {recursive: true, force: true});
  }
};

/** A copy of a recording with every string replaced, and expectations of its own. @returns the exit code. */
export const redactRecording = async (
  from: string,
  to: string,
  output: NodeJS.WritableStream,
): Promise<number> => {
  refuseOld(to);
  const fixture = readFixture(from);
  if (fixture.case.kind !== 'wal') throw new FixtureUnusable(`${from} is no recording of a stream.`);
  await redactFixture({...fixture, case: fixture.case}, to);
  return replayFixtures([to], {bless: true, diff: false}, output);
};

const refuseOld = (dir: string): void => {
  if (existsSync(join(dir, CASE_FILE)))
    throw new FixtureUnusable(`${dir} already holds a fixture; remove it or choose another folder.`);
};

const record = async (
  dir: string,
  flags: RecordFlags,
  output: NodeJS.WritableStream,
  signal: AbortSignal,
): Promise<void> => {
  mkdirSync(dir, {recursive: true});
  const source = {url: flags.upstream, publications: flags.publication, dir};
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
};
