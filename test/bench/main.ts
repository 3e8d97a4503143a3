import {parseArgs} from 'node:util';
import {loadIssueTracker} from './data/load.ts';
import {totalRows} from './data/rows.ts';

const HELP = `Usage: npm run bench -- data <postgres URL>   load the issue tracker into an empty database

  --scale N   size of the data; 1 is 200,000 issues and 904,400 rows in all (default 1)
`;

const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    scale: {type: 'string', default: '1'},
    help: {type: 'boolean', short: 'h', default: false},
    'no-build': {type: 'boolean', default: false},
  },
});

const main = async (): Promise<void> => {
  const [what, url] = positionals;
  if (values.help || what !== 'data' || !url) return void process.stdout.write(HELP);
  const startedAt = Date.now();
  const counts = await loadIssueTracker(url, Number(values.scale));
  process.stdout.write(`${totalRows(counts)} rows in ${Date.now() - startedAt} ms\n`);
};

main().catch((error: unknown) => {
  process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
  process.exit(1);
});
