import {ConfigError} from '../errors.ts';
import type {ZeroConfig} from './config.ts';
import {doubtsOf} from './doubts.ts';
import {readEnvironment} from './environment.ts';
import {readFlags} from './flags.ts';
import {bothNames, type Given, nothingToDo} from './given.ts';
import {normalizeConfig} from './normalize-config.ts';
import {optionEntries, withDefaults} from './option-table.ts';
import {validateConfig} from './validate-config.ts';

export interface ParsedConfig {
  readonly config: ZeroConfig;
  /** Deprecated, unknown or doubtful settings, one line each. */
  readonly warnings: readonly string[];
  /** Settings accepted without effect, one line each with what happens instead. */
  readonly notices: readonly string[];
}

/**
 * Reads the command line over the environment over defaults, completes what follows from other options, and checks all
 * of it (config-ops.md §1). `argv` begins after the name of the command. Nothing is opened, started or asked.
 * @throws ConfigError with every problem at once; no line of it holds a secret.
 */
export const parseConfig = (argv: readonly string[], env: NodeJS.ProcessEnv): ParsedConfig => {
  const flags = readFlags(argv);
  const environment = readEnvironment(env);
  const given = new Map([...environment.given, ...flags.given]);

  const problems = [...flags.problems, ...environment.problems];
  const values = new Map<string, unknown>();
  for (const setting of given.values()) {
    const {entry, texts} = setting;
    const read = entry.option.read(texts);
    if ('value' in read) values.set(entry.env, read.value);
    else problems.push(`${bothNames(entry)}: must be ${read.must}${quoted(setting)}`);
  }

  const options = withDefaults(values);
  const config = normalizeConfig(options, env);
  problems.push(...validateConfig(config, options));
  // A misspelt variable is ignored, and may be the very one that is missing.
  if (problems.length > 0) throw new ConfigError([...problems, ...environment.warnings]);

  const settings = optionEntries.flatMap(({env: name}) => given.get(name) ?? []);
  return {
    config,
    warnings: [...environment.warnings, ...settings.flatMap(deprecation), ...doubtsOf(options)],
    notices: [
      ...settings.flatMap(setting => notice(setting, values.get(setting.entry.env))),
      ...environment.notices,
    ],
  };
};

/**
 * Whether the user configured anything. With nothing at all there is nothing to complain about, and development mode
 * starts. A mistyped flag counts, so that it is reported and not taken for no configuration.
 */
export const isConfigured = (argv: readonly string[], env: NodeJS.ProcessEnv): boolean => {
  const flags = readFlags(argv);
  return flags.problems.length + flags.given.size + readEnvironment(env).given.size > 0;
};

/** Shows a faulty value where that can only help: short, and of a kind that holds no secret. */
const quoted = ({entry: {option}, texts}: Given): string => {
  const harmless = ['number', 'boolean', 'enum'].includes(option.kind) && !option.secret;
  const [text = ''] = texts;
  return harmless && text.length <= 20 ? `, is ${JSON.stringify(text)}` : '';
};

const deprecation = ({entry, name}: Given): readonly string[] =>
  entry.option.deprecated ? [`${name}: deprecated. ${entry.option.deprecated}`] : [];

/** A setting that says no more than the default is not worth a line. */
const notice = ({entry: {option}, name}: Given, value: unknown): readonly string[] => {
  if (JSON.stringify(value) === JSON.stringify(option.default)) return [];
  if (option.later) return [`${name}: accepted, but not built yet; until then ${option.later}`];
  if (option.inert) return [nothingToDo(name, option.inert)];
  return [];
};
