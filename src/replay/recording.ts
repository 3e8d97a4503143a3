import type {WalFrames} from '../pg/gather-frames.ts';
import {formatLsn, type Lsn} from '../pg/lsn.ts';
import {parseLine, readLineGroups} from './lines.ts';

const XLOG_DATA = 0x77; // w
const XLOG_HEADER_BYTES = 25;
const BEGIN = 0x42;
const COMMIT = 0x43;
const RELATION = 0x52;

/** One frame as a line of `wal.ndjson`. */
export const frameLine = (frame: Buffer): string =>
  `{"lsn":"${formatLsn(frame.readBigUInt64BE(1))}","frame":"${frame.toString('base64')}"}`;

/** Where the frame's transaction commits, if it begins one. */
export const beginOf = (frame: Buffer): Lsn | null =>
  frame[0] === XLOG_DATA && frame[XLOG_HEADER_BYTES] === BEGIN
    ? frame.readBigUInt64BE(XLOG_HEADER_BYTES + 1)
    : null;

/** Where the transaction that the frame ends commits. */
export const commitOf = (frame: Buffer): Lsn | null =>
  frame[0] === XLOG_DATA && frame[XLOG_HEADER_BYTES] === COMMIT
    ? frame.readBigUInt64BE(XLOG_HEADER_BYTES + 2)
    : null;

/** OID of the relation that the frame describes. */
export const relationOf = (frame: Buffer): number | null =>
  frame[0] === XLOG_DATA && frame[XLOG_HEADER_BYTES] === RELATION
    ? frame.readUInt32BE(XLOG_HEADER_BYTES + 1)
    : null;

/** @throws TypeError if the line holds no frame. */
const frameOf = (value: unknown): Buffer => {
  const text = (value as {frame?: unknown} | null)?.frame;
  if (typeof text !== 'string') throw new TypeError('no frame');
  const frame = Buffer.from(text, 'base64');
  // Buffer skips what is not base64, so the length tells whether all of it was.
  if (frame.length < XLOG_HEADER_BYTES - 7 || Math.ceil(frame.length / 3) * 4 !== text.length)
    throw new TypeError('no base64');
  return frame;
};

export interface RecordingOptions {
  /** Ends before the first transaction that commits after this position. */
  readonly until?: Lsn | undefined;
  /** True: each group ends with a commit, so that a consumer sees one transaction at a time. */
  readonly perTransaction?: boolean;
}

/**
 * The frames of a recording in groups, as a socket would give them, read as they are asked for.
 * @throws FixtureUnusable naming the line that is damaged.
 */
export async function* readRecording(
  file: string,
  options: RecordingOptions = {},
): AsyncGenerator<WalFrames> {
  let line = 0;
  let group: Buffer[] = [];
  for await (const lines of readLineGroups(file)) {
    for (const text of lines) {
      const frame = parseLine(file, ++line, text, frameOf);
      const commitsAt = beginOf(frame);
      if (commitsAt !== null && options.until !== undefined && commitsAt > options.until) {
        if (group.length) yield group;
        return;
      }
      group.push(frame);
      if (options.perTransaction && commitOf(frame) !== null) {
        yield group;
        group = [];
      }
    }
    if (!options.perTransaction && group.length) {
      yield group;
      group = [];
    }
  }
  if (group.length) yield group;
}
