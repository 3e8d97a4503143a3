import {writeFile} from 'node:fs/promises';
import {Command, CommanderError, InvalidArgumentError, Option} from 'commander';
import type {DaemonInspection} from '../observe/inspection.ts';
import {renderHtml} from '../observe/render-html.ts';
import {renderMermaid} from '../observe/render-mermaid.ts';
import {renderText} from '../observe/render-text.ts';
import {endWithReader} from './end-with-reader.ts';
import {explainAst} from './explain-ast.ts';
import {fetchInspection, type Target} from './fetch-inspection.ts';
import {serveInspector} from './serve-inspector.ts';
import {linesFor} from './terminal-lines.ts';
import {watchInspector} from './watch-inspector.ts';

interface Options extends Target {
  readonly watch?: boolean;
  readonly json?: boolean;
  readonly mermaid?: true | 'counts';
  readonly sql?: boolean;
  readonly html?: string;
  readonly serve?: true | number;
  readonly ast?: string;
  readonly replica?: string;
}

const EXAMPLES = `
Examples:
  inspect-pipeline                          what the server on this machine does, once
  inspect-pipeline --watch                  again every second, with rates; q ends it
  inspect-pipeline --serve                  the same as a page, live, on http://127.0.0.1:4850
  inspect-pipeline --html pipeline.html     the page as one file, to keep or to send
  inspect-pipeline --url http://db1:4848 --password "$ZERO_ADMIN_PASSWORD" --json
  inspect-pipeline --ast query.json --replica zero.db
                                            how one query is answered: rows read, plans, missing indexes; no server needed`;

/** `inspect-pipeline`: what a running server does, stage by stage and query by query. @returns the exit code. */
export const runInspectPipeline = async (argv: readonly string[]): Promise<number> => {
  endWithReader();
  const command = new Command('inspect-pipeline')
    .description(
      'Shows the stages, query graphs and client groups of a running zerostream, with rates, lag and what is in flight.',
    )
    .option('--url <url>', 'where the server listens', `http://127.0.0.1:${process.env['ZERO_PORT'] || 4848}`)
    .option('--password <password>', 'its ZERO_ADMIN_PASSWORD (also taken from the environment)')
    .option('--watch', 'again every second, with rates, until q or Ctrl-C')
    .option('--sql', 'show the SQL of each operator')
    .option('--json', 'the raw facts as JSON')
    .addOption(
      new Option(
        '--mermaid [counts]',
        'how stages, processes and stores hang together, as Mermaid text; with counts, what has passed them',
      ).choices(['counts']),
    )
    .option('--html <file>', 'the picture as one self-contained page')
    .option(
      '--serve [port]',
      'the page, live, on a port of this machine (the first free one from 4850 on)',
      portNumber,
    )
    .option('--ast <file>', 'explain one query (its AST as JSON, - for standard input) against --replica')
    .option('--replica <file>', "a server's replica file, or a copy of one")
    .addHelpText('after', EXAMPLES)
    .showHelpAfterError('--help tells more.')
    .exitOverride();
  try {
    command.parse(argv, {from: 'user'});
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    throw error;
  }
  const options = command.opts<Options>();
  try {
    if (options.ast !== undefined || options.replica !== undefined) return await explain(options);
    if (options.serve !== undefined)
      return await serveInspector(options, options.serve === true ? null : options.serve);
    if (options.watch) return await watchInspector(options, {sql: options.sql ?? false});
    if (options.html !== undefined) {
      return await writePage(options.html, renderHtml({...(await twoInspections(options)), live: false}));
    }
    const inspection = await fetchInspection(options);
    process.stdout.write(`${render(inspection, options)}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`inspect-pipeline: ${(error as Error).message}\n`);
    return 1;
  }
};

const writePage = async (file: string, page: string): Promise<number> => {
  await writeFile(file, page).catch(({code}: NodeJS.ErrnoException) => {
    throw new Error(`${file} cannot be written (${code}); give --html another file.`);
  });
  return 0;
};

const explain = async ({ast, replica, json}: Options): Promise<number> => {
  if (ast === undefined || replica === undefined)
    throw new Error('--ast and --replica go together: the query, and the file to run it against.');
  const analysis = await explainAst(ast, replica);
  const {analysisText} = await import('../ivm/explain.ts');
  process.stdout.write(json ? `${JSON.stringify(analysis, null, 2)}\n` : analysisText(analysis));
  return 0;
};

const render = (inspection: DaemonInspection, {json, mermaid, sql}: Options): string => {
  if (json) return JSON.stringify(inspection, null, 2);
  if (mermaid) return renderMermaid(inspection, {counts: mermaid === 'counts'});
  return linesFor(process.stdout, renderText(inspection, null, {sql: sql ?? false})).join('\n');
};

/** A second apart, so that there are rates. */
const twoInspections = async (target: Target) => {
  const before = await fetchInspection(target);
  await new Promise(resolve => setTimeout(resolve, 1000));
  return {before, now: await fetchInspection(target)};
};

const portNumber = (text: string): number => {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new InvalidArgumentError('A port is a whole number from 0 to 65535.');
  return port;
};
