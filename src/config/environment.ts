import {type Given, nothingToDo, type Source} from './given.ts';
import {optionEntries} from './option-table.ts';
import {didYouMean} from './suggest.ts';

/** Variables of the original that begin like ours but never were options, and of the tools that share the environment. */
const OTHER_VARIABLES = new Set(['ZERO_ENABLE_STARTUP_MESSAGE', 'ZERO_IN_CONTAINER', 'ZERO_SCHEMA_PATH']);

/** Those whose effect somebody may count on, and what there is in its place. */
const INERT_VARIABLES: Readonly<Record<string, string>> = {
  ZERO_IDLE_IN_TRANSACTION_SESSION_TIMEOUT:
    'a mutation whose transaction is idle for a minute is always ended',
  ZERO_PG_SOCKET_INACTIVITY_TIMEOUT: 'connections that are dead are found by TCP keepalive',
};

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
  const inert = Object.entries(INERT_VARIABLES).filter(([name]) => env[name]);
  for (const [name] of inert) known.add(name);
  const warnings = Object.keys(env)
    .filter(name => name.startsWith('ZERO_') && env[name] && !known.has(name) && !OTHER_VARIABLES.has(name))
    .map(name => `${name}: no such option, ignored${didYouMean(name, known)}`);
  const notices = inert.map(([name, instead]) => nothingToDo(name, instead));
  return {given, problems: [], warnings, notices};
};

const elements = (text: string): readonly string[] =>
  text
    .split(',')
    .map(element => element.trim())
    .filter(element => element !== '');
