import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';

/** An error class as its docstring describes it. */
export interface ErrorEntry {
  readonly className: string;
  /** Of the form `R001`. Empty if the docstring does not begin with one. */
  readonly code: string;
  /** What the code is in the class; to be the same. */
  readonly declaredCode: string;
  /** The docstring after the code. */
  readonly text: string;
}

const CLASS =
  /(?:\/\*\*(?<doc>(?:(?!\*\/).)*)\*\/\s*)?export (?<kind>abstract )?class (?<name>\w+) extends (?<base>\w+)(?<rest>.*?)\n\}/gs;

/** Every concrete subclass of DaemonError, direct or not, in the TypeScript files below `directory`, by code. */
export const readErrorEntries = (directory: string): readonly ErrorEntry[] => {
  const classes = readdirSync(directory, {recursive: true, encoding: 'utf8'})
    .filter(file => file.endsWith('.ts'))
    .flatMap(file => [...readFileSync(join(directory, file), 'utf8').matchAll(CLASS)])
    .map(({groups = {}}) => groups);
  const family = new Set(['DaemonError']);
  for (let size = 0; size < family.size; ) {
    size = family.size;
    for (const {name = '', base = ''} of classes) if (family.has(base)) family.add(name);
  }
  return classes
    .filter(({name = '', kind}) => kind === undefined && family.has(name))
    .map(entryOf)
    .sort((a, b) => (a.declaredCode < b.declaredCode ? -1 : 1));
};

const entryOf = ({
  name = '',
  doc = '',
  rest = '',
}: Readonly<Record<string, string | undefined>>): ErrorEntry => {
  const words = doc
    .split('\n')
    .map(line => line.replace(/^\s*\*\s?/, '').trim())
    .join(' ')
    .trim();
  const [, code = '', text = ''] = /^([A-Z]\d{3}) — (.+)$/.exec(words) ?? [];
  const [, declaredCode = ''] = /readonly code = '(\w+)'/.exec(rest) ?? [];
  return {className: name, code, declaredCode, text};
};

/** The troubleshooting page: one heading per code. */
export const errorsMarkdown = (directory: string): string =>
  readErrorEntries(directory)
    .map(({code, className, text}) => `## ${code} ${className}\n\n${text}\n`)
    .join('\n');
