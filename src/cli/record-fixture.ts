import {existsSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {FixtureUnusable} from '../errors.ts';
import {bytesText, exactly} from '../observe/units.ts';
import {formatLsn, type Lsn} from '../pg/lsn.ts';
import {CASE_FILE, readFixture} from '../replay/fixture.ts';
import {type RecordedServerParts, recordServer} from '../replay/record-server.ts';
import {recordSnapshot} from '../replay/record-snapshot.ts';
import {type Bounds, type RecordedWal, recordWal} from '../replay/record-wal.ts';
import {redactFixture} from '../replay/redact.ts';
import {WorkFolder} from '../replay/work-folder.ts';
import {replayFixtures} from './replay-fixtures.ts';

export interface RecordFlags {
  /** Of a running server; without it, of a PostgreSQL. */
  readonly server?: string;
  readonly password?: string;
  readonly upstream?: string;
  readonly publication?: readonly string[];
  readonly out: string;
  readonly about: string;
  readonly maxBytes: number;
  readonly seconds?: number;
  readonly untilLsn?: Lsn;
  readonly partBytes?: number;
  readonly redact?: boolean;
  /** False: not what clients say. */
  readonly clients?: boolean;
  /** Clients that are connected already are recorded too: they are made to connect again. */
  readonly reconnectClients?: boolean;
}

const REASONS = {
  size: 'it has reached --max-bytes',
  time: 'its time is over',
  position: 'it has reached --until-lsn',
  request: 'it was asked to',
  source: 'the server has ended it',
} as const;

/**
 * Records a fixture from a running server, or from a database of which it takes a temporary slot; then replays it once,
 * which gives the expectations to review. @returns the exit code.
 */
export const recordFixture = async (
  flags: RecordFlags,
  output: NodeJS.WritableStream,
  signal: AbortSignal,
): Promise<number> => {
  refuseOld(flags.out);
  if (!flags.redact) {
    const isNew = !existsSync(flags.out);
    await record(flags.out, flags, output, signal).catch(error => {
      // Half a recording is no fixture, and would be in the way of the next try.
      if (isNew) rmSync(flags.out, {recursive: true, force: true});
      throw error;
    });
    return replayFixtures([flags.out], {bless: true, diff: false}, output);
  }
  // What is to be redacted never lies in the folder that is given away, not even for a while.
  using raw = new WorkFolder();
  await record(raw.dir, flags, output, signal);
  return await redactRecording(raw.dir, flags.out, output);
};

/** A copy of a recording with every string replaced, and expectations of its own. @returns the exit code. */
export const redactRecording = async (
  from: string,
  to: string,
  output: NodeJS.WritableStream,
): Promise<number> => {
  refuseOld(to);
  const fixture = readFixture(from);
  if (fixture.case.kind !== 'wal')
    throw new FixtureUnusable(`${from} is no recording; only those are redacted.`);
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
  const bounds: Bounds = {
    maxBytes: flags.maxBytes,
    maxMs: flags.seconds === undefined ? undefined : flags.seconds * 1000,
    untilLsn: flags.untilLsn,
    signal,
  };
  const facts = {dir, about: flags.about, partBytes: flags.partBytes, bounds};
  const wal: RecordedWal & Partial<RecordedServerParts> = await (flags.server === undefined
    ? recordUpstream(flags, facts, output)
    : recordServer({
        ...facts,
        url: flags.server,
        password: flags.password ?? process.env['ZERO_ADMIN_PASSWORD'],
        // Nothing of it can be given away: where values are replaced, it is left out.
        clients: flags.redact || flags.clients === false ? 'none' : flags.reconnectClients ? 'all' : 'new',
        onStart: version => output.write(`snapshot of version ${version}; recording; Ctrl-C ends it\n`),
      }));
  const {conversation} = wal;
  const heard = conversation
    ? `, ${exactly(conversation.messages, 'message')} to clients on ${exactly(conversation.connections, 'connection')}`
    : '';
  output.write(
    `recording ended, since ${REASONS[wal.endedBy]}: ${exactly(wal.transactions, 'transaction')}, ${bytesText(wal.bytes)}${heard}\n`,
  );
};

const recordUpstream = async (
  {upstream, publication}: RecordFlags,
  facts: {
    readonly dir: string;
    readonly about: string;
    readonly partBytes: number | undefined;
    readonly bounds: Bounds;
  },
  output: NodeJS.WritableStream,
): Promise<RecordedWal> => {
  if (upstream === undefined || publication === undefined)
    throw new FixtureUnusable('Name what to record: --server, or --upstream with --publication.');
  const source = {...facts, url: upstream, publications: publication};
  const snapshot = await recordSnapshot(source);
  output.write(`snapshot at ${formatLsn(snapshot.consistentPoint)}: ${exactly(snapshot.rows, 'row')}\n`);
  return recordWal(snapshot, {...source, onStart: () => output.write('recording; Ctrl-C ends it\n')});
};
