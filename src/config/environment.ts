import type {Given, Source} from './given.ts';
import {optionEntries} from './option-table.ts';
import {didYouMean} from './suggest.ts';

/** Variables that begin like ours but are not options: read elsewhere, or by the tools that share the environment. */
const OTHER_VARIABLES = new Set([
  'ZERO_IDLE_IN_TRANSACTION_SESSION_TIMEOUT',
  'ZERO_PG_SOCKET_INACTIVITY_TIMEOUT',
  'ZERO_ENABLE_STARTUP_MESSAGE',
  'ZERO_IN_CONTAINER',
  'ZERO_SCHEMA_PATH',
]);

/**
 * Reads the `ZERO_*` variables. An empty one counts as unset; lists are split at commas, without a way to write a comma
 * inside an element. An unknown one is only warned of, since the environment is shared with other programs.
 */
export const readEnvironment = (env: NodeJS.ProcessEnv): Source => {
  const given = new Map<string, Given>();
  for (const entry of optionEntries) {
    const text = env[entry.env];
    if (!text) continue;
    const texts = entry.option.kind === 'list' ? elements(text) : [text];
    given.set(entry.env, {entry, texts, name: entry.env});
  }
  const known = new Set(optionEntries.map(entry => entry.env));
  const warnings = Object.keys(env)
    .filter(name => name.startsWith('ZERO_') && env[name] && !known.has(name) && !OTHER_VARIABLES.has(name))
    .map(name => `${name}: no such option, ignored${didYouMean(name, known)}`);
  return {given, problems: [], warnings};
};

const elements = (text: string): readonly string[] =>
  text
    .split(',')
    .map(element => element.trim())
    .filter(element => element !== '');
