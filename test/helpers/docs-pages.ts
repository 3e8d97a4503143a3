import {errorsMarkdown} from '../../src/config/errors-markdown.ts';
import {optionsMarkdown} from '../../src/config/options-markdown.ts';
import {mermaidOfAll} from '../../src/observe/render-mermaid.ts';

export const optionsPage = (): string =>
  `# Options\n\nMade from the option table by \`npm run docs\`. Flags win over the environment, the environment over a \`.env\` file in the current folder.\n\n${optionsMarkdown()}`;

export const errorsPage = (): string =>
  `# Errors\n\nEvery error that zerostream reports carries one of these codes. Made from \`src/errors.ts\` by \`npm run docs\`.\n\n${errorsMarkdown('src')}`;

const BEGIN = '<!-- inspect-pipeline --mermaid; written by npm run docs -->';
const END = '<!-- end -->';

/** A page with the picture of the pipeline between its two marks made anew. @throws Error if it has no marks. */
export const withDiagram = (page: string): string => {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`no ${BEGIN} … ${END}`);
  return `${page.slice(0, begin)}${BEGIN}\n\`\`\`mermaid\n${mermaidOfAll()}\n\`\`\`\n${page.slice(end)}`;
};
