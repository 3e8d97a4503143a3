import {readFileSync} from 'node:fs';

/** The blocks of one language below a heading of the README, up to the next heading. */
export const readmeBlocks = (heading: string, language: string): string[] => {
  const [, section = ''] = readFileSync('README.md', 'utf8').split(new RegExp(`^#+ ${heading}$`, 'm'));
  const [own = ''] = section.split(/^#+ /m);
  return [...own.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(match => match[1] === language)
    .map(match => match[2]!);
};
