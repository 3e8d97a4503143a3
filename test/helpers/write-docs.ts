import {writeFileSync} from 'node:fs';
import {errorsPage, optionsPage} from './docs-pages.ts';

writeFileSync('src/config/OPTIONS.md', optionsPage());
writeFileSync('src/ERRORS.md', errorsPage());
