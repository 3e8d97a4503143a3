import {didYouMean} from '../config/suggest.ts';
import {ConfigError} from '../errors.ts';

type Run = (argv: readonly string[]) => Promise<number>;

/** Loaded only when called for, as each brings much that the others do not need. */
const COMMANDS: Readonly<Record<string, () => Promise<Run>>> = {
  dev: async () => (await import('./dev.ts')).runDev,
  'inspect-pipeline': async () => (await import('./inspect-pipeline.ts')).runInspectPipeline,
  'fixture-replay': async () => (await import('./fixture-replay.ts')).runFixtureReplay,
};

/** The command that the first argument names; null if the arguments are options of the daemon. @throws ConfigError */
export const commandOf = async (first: string | undefined): Promise<Run | null> => {
  if (first === undefined || first.startsWith('-')) return null;
  const load = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  if (load) return load();
  if (/^postgres(ql)?:/.test(first))
    throw new ConfigError(['a database stands behind its option: zerostream --upstream-db postgres://…']);
  // Anything longer or stranger than a command may be a secret, and is not repeated.
  const shown = /^[a-z][a-z-]{0,20}$/i.test(first) ? ` "${first}"` : '';
  const names = Object.keys(COMMANDS);
  throw new ConfigError([
    `unknown command${shown}${didYouMean(first, names) || ';'} there are ${names.join(', ')}, and options alone to serve your database`,
  ]);
};
