import {errorsMarkdown} from '../../src/config/errors-markdown.ts';
import {optionsMarkdown} from '../../src/config/options-markdown.ts';

export const optionsPage = (): string =>
  `# Options\n\nMade from the option table by \`npm run docs\`. Flags win over the environment, the environment over a \`.env\` file in the current folder.\n\n${optionsMarkdown()}`;

export const errorsPage = (): string =>
  `# Errors\n\nEvery error that zerostream reports carries one of these codes. Made from \`src/errors.ts\` by \`npm run docs\`.\n\n${errorsMarkdown('src')}`;
