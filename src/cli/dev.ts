import {Command, CommanderError, InvalidArgumentError} from 'commander';

interface Flags {
  readonly sql?: string;
  readonly reset?: boolean;
  readonly postgresPort?: number;
}

const AFTER = `
Everything lives in .zero/ in the current folder; removing it removes all of it. What is there is used
again at the next start. Permissions let anyone read and write everything, until you deploy your own
with zero-deploy-permissions. Clients connect from this machine only.

Examples
  zerostream dev                       the demonstration: an issue tracker, at http://localhost:4848/
  zerostream dev --sql schema.sql      your tables instead, to build an app against
  zerostream dev --reset               begin anew
  zerostream dev --port 5000           all options of the server work too; zerostream --help lists them`;

/** `zerostream dev`: development mode with options. @returns the exit code. */
export const runDev = async (argv: readonly string[]): Promise<number> => {
  const command = new Command('zerostream dev')
    .usage('[--sql FILE] [--reset] [options of the server]')
    .description(
      'Starts a PostgreSQL of its own, fills it, and serves it: a demonstration, or your schema. This is what zerostream does when nothing is configured.',
    )
    .option('--sql <file>', 'SQL with your schema, and rows if you like, run once into an empty database')
    .option('--reset', 'remove what earlier runs left in .zero/ and begin anew')
    .option(
      '--postgres-port <port>',
      'where PostgreSQL listens (default: as before, or a free one from 5848)',
      port,
    )
    .helpOption('-h, --help', 'show this')
    .addHelpText('after', AFTER)
    .allowUnknownOption()
    .allowExcessArguments()
    .showHelpAfterError('--help tells more.')
    .exitOverride();
  try {
    command.parse(argv, {from: 'user'});
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    throw error;
  }
  const {runDemo} = await import('../demo/run-demo.ts');
  return runDemo({...command.opts<Flags>(), daemonArgs: command.args});
};

const port = (text: string): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0 && value < 65_536) return value;
  throw new InvalidArgumentError('It must be a number from 1 to 65535.');
};
