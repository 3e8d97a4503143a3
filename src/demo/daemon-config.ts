import {type ParsedConfig, parseConfig} from '../config/parse-config.ts';
import {ConfigError} from '../errors.ts';

/** What development mode sets itself. */
const OWN = ['ZERO_UPSTREAM_DB', 'ZERO_CVR_DB', 'ZERO_CHANGE_DB', 'ZERO_REPLICA_FILE'] as const;

/** What a newcomer at one's own machine is better served with, unless set. */
const DEFAULTS = {ZERO_LOG_LEVEL: 'warn', ZERO_NUM_SYNC_WORKERS: '1', ZERO_TASK_ID: 'dev'} as const;

/** The daemon's configuration in development mode; its other options are the user's, as everywhere. @throws ConfigError */
export const daemonConfig = (
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  own: {readonly url: string; readonly replica: string},
): ParsedConfig => {
  const flags = OWN.map(name => `--${name.replace('ZERO_', '').toLowerCase().replaceAll('_', '-')}`);
  const given = args.map(arg => arg.split('=', 1)[0]!).filter(arg => flags.includes(arg));
  if (given.length > 0)
    throw new ConfigError(
      given.map(
        flag =>
          `${flag}: development mode brings its own database and replica; leave out "dev" to serve yours, or this option to see the demonstration`,
      ),
    );
  const parsed = parseConfig(args, {
    ...DEFAULTS,
    ...env,
    ZERO_UPSTREAM_DB: own.url,
    ZERO_CVR_DB: undefined,
    ZERO_CHANGE_DB: undefined,
    ZERO_REPLICA_FILE: own.replica,
    NODE_ENV: 'development',
  });
  const ignored = OWN.filter(name => env[name]).map(
    name => `${name}: ignored; development mode brings its own database and replica`,
  );
  return {...parsed, warnings: [...parsed.warnings, ...ignored]};
};
