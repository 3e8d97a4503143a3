import {readFileSync} from 'node:fs';

/** Contents of the fenced blocks of a page that are in that language. */
export const blocksOf = (file: string, language: string): string[] =>
  [...readFileSync(file, 'utf8').matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    .filter(([, tag]) => tag === language)
    .map(([, , body]) => body!);

/** The commands of a page's `sh` blocks, without what is said of them. A block that exports something is one command. */
export const commandsOf = (file: string): string[] =>
  blocksOf(file, 'sh').flatMap(block => {
    const lines = block
      .split('\n')
      .map(line => line.replace(/\s+#.*$/, '').trim())
      .filter(line => line && !line.startsWith('#'));
    return lines.some(line => line.startsWith('export ')) ? [lines.join('\n')] : lines;
  });
