import {styleText} from 'node:util';

/** The lines of a view as `out` is to show them. Only a terminal has them folded and coloured, and NO_COLOR is heeded. */
export const linesFor = (out: NodeJS.WriteStream, view: string): string[] =>
  out.isTTY ? terminalLines(view, {columns: out.columns || 80, colors: out.hasColors()}) : view.split('\n');

/** None wider than the terminal, and coloured if it has colours. */
export const terminalLines = (
  text: string,
  {columns, colors}: {readonly columns: number; readonly colors: boolean},
): string[] =>
  text.split('\n').flatMap(line => {
    const style = colors ? styleOf(line) : null;
    return fold(line, columns).map(part => (style ? styleText(style, part, {validateStream: false}) : part));
  });

/** Breaks a line between words; what follows is set in below it. */
const fold = (line: string, columns: number): string[] => {
  const parts: string[] = [];
  const indent = ' '.repeat(Math.min(line.search(/\S|$/) + 4, Math.floor(columns / 3)));
  let rest = line;
  while (rest.length > columns) {
    const space = rest.lastIndexOf(' ', columns);
    const end = space > indent.length ? space : columns;
    parts.push(rest.slice(0, end));
    rest = indent + rest.slice(end).trimStart();
  }
  return [...parts, rest];
};

type Style = Parameters<typeof styleText>[0];

const STYLES: readonly (readonly [RegExp, Style])[] = [
  [/^(FAULTS| {2}✖)/, ['red', 'bold']],
  [/^(WARNINGS| {2}!)/, 'yellow'],
  [/^ {2}✓/, 'green'],
  [/^(zerostream|replicator:|sync worker)/, 'bold'],
  [/^ +missing upstream/, 'yellow'],
  // Stages through which nothing passes.
  [/^ {2}[▶·] \S+ +0(\/s)? in 0(\/s)? out/, 'dim'],
];

const styleOf = (line: string): Style | null => STYLES.find(([pattern]) => pattern.test(line))?.[1] ?? null;
