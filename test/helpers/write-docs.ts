import {readFileSync, writeFileSync} from 'node:fs';
import {errorsPage, optionsPage, withDiagram} from './docs-pages.ts';

writeFileSync('src/config/OPTIONS.md', optionsPage());
writeFileSync('src/ERRORS.md', errorsPage());
for (const file of ['README.md', 'pipelines/README.md'])
  writeFileSync(file, withDiagram(readFileSync(file, 'utf8')));
