import {envOf, flagOf, OPTIONS, type OptionSpec} from './options.ts';

/** The options as `--help` shows them: flag, environment name, type, default, meaning; hidden ones left out. */
export const helpText = (columns: number, {color}: {readonly color: boolean}): string => {
  const bold = (text: string) => (color ? `\x1b[1m${text}\x1b[22m` : text);
  const dim = (text: string) => (color ? `\x1b[2m${text}\x1b[22m` : text);
  const lines = [
    `${bold('zerostream')}: keeps clients of Zero in sync with PostgreSQL.`,
    '',
    'Usage',
    '  zerostream                          a demo with an embedded PostgreSQL, at http://localhost:4848/',
    '  zerostream --upstream-db postgres://…  serve your database (wal_level must be logical)',
    '  zerostream inspect-pipeline         what a running server does; --help for more',
    '  zerostream fixture-replay           replay recorded WAL; --help for more',
    '',
    'Every option can be set by flag, by environment variable, or in a .env file here; flags win, then the environment.',
    '',
  ];
  for (const spec of OPTIONS) {
    if (spec.hidden) continue;
    lines.push(`  ${bold(flagOf(spec))} ${typeLabel(spec)}  ${dim(envOf(spec))}`);
    lines.push(
      ...wrap(
        `${defaultLabel(spec)}${spec.deprecated ? 'deprecated. ' : ''}${spec.description}${spec.later ? ' (Accepted; not built yet.)' : ''}`,
        columns - 6,
      ).map(line => `      ${line}`),
    );
  }
  return `${lines.join('\n')}\n`;
};

const typeLabel = ({type}: OptionSpec): string =>
  typeof type === 'string' ? (type === 'list' ? 'string[]' : type) : type.join('|');

const defaultLabel = (spec: OptionSpec): string =>
  spec.default === undefined ? '' : `[${JSON.stringify(spec.default)}] `;

const wrap = (text: string, width: number): string[] => {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + word.length + 1 > Math.max(width, 30)) {
      lines.push(line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  return line ? [...lines, line] : lines;
};
