import {tmpdir} from 'node:os';
import {Command, CommanderError, InvalidArgumentError} from 'commander';
import {DaemonError} from '../errors.ts';
import {type Lsn, parseLsn} from '../pg/lsn.ts';
import type {Terminal} from '../replay/stepper.ts';
import {removeWorkFoldersOnSignals} from '../replay/work-folder.ts';
import {endWithReader} from './end-with-reader.ts';
import {type RecordFlags, recordFixture, redactRecording} from './record-fixture.ts';
import {replayFixtures} from './replay-fixtures.ts';

/** Where a command reads and writes; the process's own streams but in tests. */
export interface Io {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  readonly stdin: NodeJS.ReadableStream;
}

interface RunFlags {
  readonly bless?: boolean;
  readonly step?: boolean;
  readonly diff?: boolean;
  readonly until?: Lsn;
  readonly keep?: string;
  readonly postgres?: string;
}

const EXAMPLES = `
Examples
  fixture-replay                                   replay every recording below fixtures/
  fixture-replay --step fixtures/wal/my-case       one of them, transaction by transaction
  fixture-replay --bless fixtures/wal/my-case      accept what comes out as what is expected
  fixture-replay record --server http://localhost:4848 --redact --seconds 60 --out fixtures/wal/my-case
  fixture-replay record --upstream postgres://user:password@host/db --publication my_tables --out fixtures/wal/my-case

fixture-replay run --help lists the options of a replay, fixture-replay record --help those of a recording.

It ends with 0 when all is as expected, 1 when a fixture differs, 2 when it cannot be read or recorded.`;

/**
 * `fixture-replay`: replays recorded fixtures and compares the result with what they expect.
 * @returns the exit code: 0 as expected, 1 a fixture differs, 2 wrong usage or a fixture that cannot be read.
 */
export const runFixtureReplay = async (argv: readonly string[], io: Io = process): Promise<number> => {
  let code = 0;
  if (io === process) {
    removeWorkFoldersOnSignals();
    endWithReader();
  }
  const program = new Command('fixture-replay')
    .description('Replays recorded fixtures through the stages of the server, without PostgreSQL.')
    .configureOutput({writeOut: text => io.stdout.write(text), writeErr: text => io.stderr.write(text)})
    .addHelpText('afterAll', EXAMPLES)
    .showHelpAfterError('--help tells more.')
    .exitOverride();
  program
    .command('run', {isDefault: true})
    .description('replay fixtures and compare (the default command)')
    .argument('[paths...]', 'fixtures, or folders that hold some', ['fixtures'])
    .option('--bless', 'write what came out as the new expectation; review it like code')
    .option('--diff', 'show the first difference of each fixture in full')
    .option('--until <lsn>', 'stop before the first transaction that commits after this position', lsn)
    .option('--step', 'show each transaction; on a terminal, wait after each and answer SQL on the replica')
    .option(
      '--postgres <url>',
      'a PostgreSQL in which a replay of what was said with clients may have a database',
    )
    .option('--keep <file>', 'leave the replica of a single fixture in this file')
    .action(async (paths: string[], flags: RunFlags) => {
      code = await replayFixtures(
        paths,
        {
          bless: flags.bless ?? false,
          diff: flags.diff ?? false,
          until: flags.until,
          keep: flags.keep,
          postgres: flags.postgres,
          step: flags.step ? terminal(io) : undefined,
        },
        io.stdout,
      );
    });
  program
    .command('record')
    .description(
      'record a new fixture from a running server or from a PostgreSQL: what is there, raw frames, expectations',
    )
    .option('--server <url>', 'a running zerostream, such as http://127.0.0.1:4848')
    .option('--password <password>', 'its ZERO_ADMIN_PASSWORD (also taken from the environment)')
    .option('--upstream <url>', 'or a database, with the right to replicate')
    .option('--publication <names>', 'publications of it to follow, separated by commas', names)
    .requiredOption('--out <folder>', 'where to write the fixture; its name is that of the folder')
    .option('--about <text>', 'what the fixture is for', 'recorded by fixture-replay record')
    .option('--max-bytes <n>', 'end when the recording has this size', positive, 100_000_000)
    .option('--seconds <n>', 'end after this time', positive)
    .option('--until-lsn <lsn>', 'end when everything that commits up to this position is recorded', lsn)
    .option(
      '--part-bytes <n>',
      'replay transactions above this size in parts, instead of the default',
      positive,
    )
    .option('--no-clients', 'leave out what the server says with its clients')
    .option(
      '--reconnect-clients',
      'record clients that are connected already, too: the server lets them connect again',
    )
    .option(
      '--redact',
      'replace every string, keeping which are equal and their order; leaves out the clients',
    )
    .action(async (flags: RecordFlags) => {
      code = await recordFixture(flags, io.stdout, interrupted(io));
    });
  program
    .command('redact')
    .description('copy a recording with every string replaced, keeping which are equal and their order')
    .argument('<fixture>', 'folder of the recording')
    .argument('<folder>', 'where to write the copy')
    .action(async (from: string, to: string) => {
      code = await redactRecording(from, to, io.stdout);
    });
  try {
    await program.parseAsync(argv, {from: 'user'});
    return code;
  } catch (thrown) {
    const error = firstOf(thrown);
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const {code, message, syscall} = error as NodeJS.ErrnoException;
    // A file that cannot be read or written is no fault of ours.
    const isFull = code === 'SQLITE_FULL';
    if (!(error instanceof DaemonError || syscall || isFull)) throw error;
    const told = isFull ? `${tmpdir()} is full; TMPDIR names another folder for replays.` : message;
    io.stderr.write(`fixture-replay: ${error instanceof DaemonError ? `${code} ` : ''}${told}\n`);
    return 2;
  }
};

/** What went wrong before closing what was open failed, too. */
const firstOf = (error: unknown): unknown =>
  error instanceof Error && 'suppressed' in error ? firstOf(error.suppressed) : error;

const lsn = (text: string): Lsn => {
  try {
    return parseLsn(text);
  } catch {
    throw new InvalidArgumentError('A position looks like 0/15A3B40.');
  }
};

const names = (text: string): string[] => text.split(',').map(name => name.trim());

const positive = (text: string): number => {
  const n = Number(text);
  if (!(n > 0)) throw new InvalidArgumentError('A number above 0 is wanted.');
  return n;
};

/** Ctrl-C ends a recording in order; a second one ends the process. */
const interrupted = (io: Io): AbortSignal => {
  const abort = new AbortController();
  if (io === process) process.once('SIGINT', () => abort.abort());
  return abort.signal;
};

const terminal = (io: Io): Terminal => ({
  input: io.stdin as Terminal['input'],
  output: io.stdout as Terminal['output'],
  interactive: io === process && process.stdin.isTTY === true && process.stdout.isTTY === true,
});
