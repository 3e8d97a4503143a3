import {isListed, type OptionEntry, optionEntries} from './option-table.ts';

const USAGE = [
  ['zerostream', 'a demonstration with its own PostgreSQL, at http://localhost:4848/'],
  ['zerostream dev --sql FILE', 'the same with your schema, to build an app against; --help tells more'],
  ['zerostream --upstream-db postgres://…', 'serve your database (it needs wal_level=logical)'],
  ['zerostream inspect-pipeline', 'look into a running server; --help tells more'],
  ['zerostream fixture-replay', 'replay recorded changes; --help tells more'],
] as const;

const NAMES =
  'Each option is a flag or an environment variable, also from a .env file here. Flags win over the environment, the environment over .env.';

/**
 * What `--help` prints: every listed option in order, under its heading, with flag, type, environment name, default and
 * meaning. Lines keep within `columns`, though never within less than 40.
 */
export const helpText = (columns: number, {color}: {readonly color: boolean}): string => {
  const bold = (text: string) => (color ? `\x1b[1m${text}\x1b[22m` : text);
  const dim = (text: string) => (color ? `\x1b[2m${text}\x1b[22m` : text);
  const width = Math.max(columns, 40);
  const lines = [
    ...wrapped(`${bold('zerostream')} keeps clients of Zero in sync with PostgreSQL.`, width, ''),
    '',
    ...USAGE.flatMap(([command, about]) => [`  ${command}`, ...wrapped(dim(about), width, '      ')]),
    '',
    ...wrapped(NAMES, width, ''),
  ];
  let section = '';
  for (const entry of optionEntries.filter(isListed)) {
    if (entry.section !== section) lines.push('', bold(entry.section));
    section = entry.section;
    lines.push('', `  ${bold(entry.flag)} ${typeLabel(entry)}`, `  ${dim(entry.env)}`);
    lines.push(...wrapped(`${entry.option.about}${standing(entry)}`, width, '      '));
    lines.push(...wrapped(dim(defaultLabel(entry)), width, '      '));
  }
  return `${lines.join('\n')}\n`;
};

/** `<number>`, `<text|json>`, `[true|false]`, `<text…>` */
export const typeLabel = ({option}: OptionEntry): string => {
  switch (option.kind) {
    case 'boolean':
      return '[true|false]';
    case 'list':
      return '<text…>';
    case 'enum':
      return `<${option.choices?.join('|')}>`;
    case 'string':
      return '<text>';
    default:
      return `<${option.kind}>`;
  }
};

/** `required`, `default: 4848`, `default: port + 1` or `optional`. */
export const defaultLabel = ({option}: OptionEntry): string => {
  if (option.required) return 'required';
  if (option.defaultText) return `default: ${option.defaultText}`;
  return option.default === undefined ? 'optional' : `default: ${JSON.stringify(option.default)}`;
};

/** What to expect of an option whose feature is not there, as a sentence to append. */
export const standing = ({option}: OptionEntry): string => {
  if (option.ours) return ' The original does not have this option.';
  if (option.later) return ` Not built yet: ${option.later}.`;
  return option.inert ? ` Without effect: ${option.inert}.` : '';
};

/** Breaks at spaces; colours do not count. A word longer than the line stays whole. */
const wrapped = (text: string, columns: number, indent: string): readonly string[] => {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && shownLength(`${indent}${line} ${word}`) > columns) {
      lines.push(indent + line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  return [...lines, indent + line];
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape that begins a colour is one
const shownLength = (text: string): number => text.replace(/\x1b\[\d+m/g, '').length;
