import {randomBytes} from 'node:crypto';
import {availableParallelism} from 'node:os';
import {Command, CommanderError, Option} from 'commander';
import {ConfigError} from '../errors.ts';
import type {ZeroConfig} from './config.ts';
import {envOf, flagOf, OPTIONS, type OptionSpec} from './options.ts';
import {validateConfig} from './validate-config.ts';

export interface ParsedConfig {
  readonly config: ZeroConfig;
  /** Deprecated or unknown settings, one line each. */
  readonly warnings: readonly string[];
  /** Settings whose feature is not built yet, one line each. */
  readonly notices: readonly string[];
}

type Value = string | number | boolean | readonly string[] | undefined;
type Env = Readonly<Record<string, string | undefined>>;

/** Variables under our prefix that are no options. */
const OTHER_VARIABLES = new Set([
  'ZERO_IDLE_IN_TRANSACTION_SESSION_TIMEOUT',
  'ZERO_PG_SOCKET_INACTIVITY_TIMEOUT',
  'ZERO_ENABLE_STARTUP_MESSAGE',
  'ZERO_IN_CONTAINER',
  'ZERO_SCHEMA_PATH',
]);

/**
 * Reads flags over environment over defaults, completes what follows from other options, and checks everything
 * (config-ops.md §1). @throws ConfigError listing every problem at once; it never repeats a value.
 */
export const parseConfig = (argv: readonly string[], env: Env): ParsedConfig => {
  const problems: string[] = [];
  const flags = readFlags(argv, problems);
  const values = new Map<string, Value>();
  const warnings: string[] = [];
  const notices: string[] = [];
  for (const spec of OPTIONS) {
    const text = flags.get(spec.path) ?? (env[envOf(spec)] || undefined);
    const value = text === undefined ? spec.default : read(spec, text, problems);
    values.set(spec.path, value);
    if (text === undefined) continue;
    if (spec.deprecated) warnings.push(`${envOf(spec)} is deprecated.`);
    if (spec.later)
      notices.push(`${envOf(spec)} is accepted, but what it asks for is not built yet; it has no effect.`);
  }
  for (const name of Object.keys(env))
    if (name.startsWith('ZERO_') && !OTHER_VARIABLES.has(name) && !OPTIONS.some(spec => envOf(spec) === name))
      warnings.push(`${name} is no option of this server.${didYouMean(name)}`);
  if (problems.length) throw new ConfigError(problems.join('\n'));
  const config = complete(values, env);
  validateConfig(config, problems);
  if (problems.length) throw new ConfigError(problems.join('\n'));
  return {config, warnings, notices};
};

/** True if the user has set anything that concerns this server: with nothing at all, development mode starts. */
export const isConfigured = (argv: readonly string[], env: Env): boolean =>
  argv.some(argument => argument.startsWith('--')) || OPTIONS.some(spec => env[envOf(spec)]);

const readFlags = (argv: readonly string[], problems: string[]): Map<string, string | readonly string[]> => {
  const command = new Command()
    .exitOverride()
    .configureOutput({writeErr: () => {}, writeOut: () => {}})
    .helpOption(false)
    .allowExcessArguments(false);
  for (const spec of OPTIONS) {
    const argument = spec.type === 'boolean' ? '[value]' : spec.type === 'list' ? '<values...>' : '<value>';
    command.addOption(new Option(`${flagOf(spec)} ${argument}`).hideHelp());
  }
  try {
    command.parse(argv, {from: 'user'});
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    problems.push(error.message.replace(/^error: /, ''));
    return new Map();
  }
  const given = command.opts<Record<string, string | string[] | true>>();
  const flags = new Map<string, string | readonly string[]>();
  for (const spec of OPTIONS) {
    const value = given[attributeOf(spec)];
    if (value !== undefined) flags.set(spec.path, value === true ? 'true' : value);
  }
  return flags;
};

/** The property commander stores a flag under. */
const attributeOf = (spec: OptionSpec): string => new Option(`${flagOf(spec)} <value>`).attributeName();

const read = (spec: OptionSpec, text: string | readonly string[], problems: string[]): Value => {
  const name = envOf(spec);
  if (spec.type === 'list')
    return (typeof text === 'string' ? text.split(',') : text).map(item => item.trim()).filter(Boolean);
  const single = typeof text === 'string' ? text : text.join();
  switch (spec.type) {
    case 'string':
      return single;
    case 'number': {
      const number = Number(single);
      if (Number.isFinite(number)) return number;
      problems.push(`${name} must be a number.`);
      return undefined;
    }
    case 'boolean':
      if (/^(true|1)$/i.test(single)) return true;
      if (/^(false|0)$/i.test(single)) return false;
      problems.push(`${name} must be true or false.`);
      return undefined;
    default:
      if (spec.type.includes(single)) return single;
      problems.push(`${name} must be one of ${spec.type.join(', ')}.`);
      return undefined;
  }
};

/** Nests the values and fills in what follows from others (config-ops.md §1.8). */
const complete = (values: Map<string, Value>, env: Env): ZeroConfig => {
  const fall = (path: string, value: Value) => {
    if (values.get(path) === undefined) values.set(path, value);
  };
  const port = Number(values.get('port'));
  fall('taskID', `zs-${randomBytes(6).toString('hex')}`);
  fall('changeStreamer.port', port + 1);
  fall('litestream.port', port + 2);
  fall('numSyncWorkers', Math.max(1, availableParallelism() - 1));
  fall('upstream.db', '');
  fall('change.db', values.get('upstream.db'));
  fall('cvr.db', values.get('upstream.db'));
  if (env['ECS_CONTAINER_METADATA_URI_V4']) fall('keepaliveTimeoutMs', 20_000);
  for (const [current, old] of [
    ['mutate', 'push'],
    ['query', 'getQueries'],
  ] as const)
    for (const field of ['url', 'apiKey', 'allowedClientHeaders', 'allowedRequestHeaders'])
      fall(`${current}.${field}`, values.get(`${old}.${field}`));
  const config: Record<string, unknown> = {development: env['NODE_ENV'] === 'development'};
  for (const [path, value] of values) {
    const [group, field] = path.split('.') as [string, string | undefined];
    if (field === undefined) config[group] = value;
    else config[group] = {...(config[group] as object | undefined), [field]: value};
  }
  return config as object as ZeroConfig;
};

const didYouMean = (name: string): string => {
  const near = OPTIONS.map(envOf)
    .map(candidate => ({candidate, distance: editDistance(name, candidate)}))
    .sort((a, b) => a.distance - b.distance)[0];
  return near && near.distance <= 4 ? ` Did you mean ${near.candidate}?` : '';
};

const editDistance = (a: string, b: string): number => {
  let row = Array.from({length: b.length + 1}, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
};

/** For handing a configuration to a child process. */
export const serializeConfig = (config: ZeroConfig): string => JSON.stringify(config);
export const deserializeConfig = (text: string): ZeroConfig => JSON.parse(text) as ZeroConfig;
