import {Command, Option as Flag} from 'commander';
import type {Given, Source} from './given.ts';
import {type OptionEntry, optionEntries} from './option-table.ts';
import {didYouMean} from './suggest.ts';

type Parsed = string | boolean | readonly string[] | undefined;

/**
 * Reads the command line after the name of the command. Values follow their flag, or stand behind `=` (needed when
 * they begin with a dash); lists take several; a boolean stands alone, with a value, or as `--no-…`. No argument that is
 * not one of our flags is ever repeated in a message, as it may be a secret.
 */
export const readFlags = (argv: readonly string[]): Source => {
  const command = new Command();
  const flags = optionEntries.map(entry => {
    // Values are optional for commander so that a missing one is reported by us, along with every other problem.
    const flag = new Flag(`${entry.flag} ${entry.option.kind === 'list' ? '[values...]' : '[value]'}`);
    command.addOption(flag);
    if (entry.option.kind === 'boolean') command.addOption(new Flag(entry.flag.replace('--', '--no-')));
    return {entry, attribute: flag.attributeName()};
  });
  const {operands, unknown} = command.parseOptions([...argv]);
  const values = command.opts<Record<string, Parsed>>();

  const given = new Map<string, Given>();
  const problems = [...unknown.filter(isFlag).map(unknownFlag), ...operands.map(() => STRAY)];
  for (const {entry, attribute} of flags) {
    const texts = textsOf(entry, values[attribute]);
    if (texts === undefined) continue;
    if (texts.length === 0 || texts.some(text => text === ''))
      problems.push(`${entry.flag}: needs a value${DASH_HINT}`);
    else given.set(entry.env, {entry, texts, name: entry.flag});
  }
  return {given, problems, warnings: [], notices: []};
};

const STRAY = 'an argument belongs to no option; options begin with two dashes, as in --port 4848';
const DASH_HINT = '; write --option=value when the value begins with a dash';

/** Undefined: not given. Empty: given without a value. */
const textsOf = (entry: OptionEntry, value: Parsed): readonly string[] | undefined => {
  if (value === undefined) return undefined;
  if (typeof value === 'string') return [value];
  if (typeof value !== 'boolean') return value;
  return entry.option.kind === 'boolean' ? [String(value)] : [];
};

const isFlag = (argument: string): boolean => /^--?[a-z]/i.test(argument);

const unknownFlag = (argument: string): string => {
  const name = argument.split('=', 1)[0] ?? '';
  const known = optionEntries.map(({flag}) => flag);
  return `${name}: unknown option${didYouMean(name, known) || '; --help lists them all'}`;
};
