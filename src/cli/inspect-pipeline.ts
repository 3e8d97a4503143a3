import {Command, CommanderError} from 'commander';
import type {DaemonInspection} from '../observe/inspection.ts';
import {renderMermaid} from '../observe/render-mermaid.ts';
import {renderText} from '../observe/render-text.ts';

interface Options {
  readonly url: string;
  readonly password?: string;
  readonly watch?: boolean;
  readonly json?: boolean;
  readonly mermaid?: boolean;
  readonly sql?: boolean;
}

/** `inspect-pipeline`: what a running server does, stage by stage and query by query. @returns the exit code. */
export const runInspectPipeline = async (argv: readonly string[]): Promise<number> => {
  const command = new Command('inspect-pipeline')
    .description(
      'Shows the stages, query graphs and client groups of a running zerostream, with counts, lag and bytes in flight.',
    )
    .option(
      '--url <url>',
      'where the server listens',
      process.env['ZERO_PORT'] ? `http://127.0.0.1:${process.env['ZERO_PORT']}` : 'http://127.0.0.1:4848',
    )
    .option('--password <password>', 'its ZERO_ADMIN_PASSWORD (also taken from the environment)')
    .option('--watch', 'again every second, with rates, until Ctrl-C')
    .option('--sql', 'show the SQL of each operator')
    .option('--json', 'the raw facts as JSON')
    .option('--mermaid', 'the picture as Mermaid text')
    .exitOverride();
  try {
    command.parse(argv, {from: 'user'});
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    throw error;
  }
  const options = command.opts<Options>();
  let previous: DaemonInspection | null = null;
  for (;;) {
    const inspection = await fetchInspection(options);
    if (typeof inspection === 'string') {
      process.stderr.write(`inspect-pipeline: ${inspection}\n`);
      return 1;
    }
    const text = options.json
      ? JSON.stringify(inspection, null, 2)
      : options.mermaid
        ? renderMermaid(inspection)
        : renderText(inspection, previous, {sql: options.sql ?? false});
    process.stdout.write(`${options.watch ? '\x1b[2J\x1b[H' : ''}${text}\n`);
    if (!options.watch) return 0;
    previous = inspection;
    await new Promise(resolve => setTimeout(resolve, 1000));
  }
};

/** The facts, or what is wrong. */
const fetchInspection = async ({url, password}: Options): Promise<DaemonInspection | string> => {
  const secret = password ?? process.env['ZERO_ADMIN_PASSWORD'];
  const headers: Record<string, string> = secret
    ? {Authorization: `Basic ${Buffer.from(`admin:${secret}`).toString('base64')}`}
    : {};
  try {
    const response = await fetch(new URL('/pipelines', url), {headers});
    if (response.status === 401)
      return 'the server wants its admin password: give --password or set ZERO_ADMIN_PASSWORD.';
    if (!response.ok) return `the server at ${url} answered ${response.status}; is it a zerostream?`;
    return (await response.json()) as DaemonInspection;
  } catch (error) {
    const {cause} = error as {cause?: {code?: string}};
    return `no server answers at ${url} (${cause?.code ?? (error as Error).message}). Start one with zerostream, or give --url.`;
  }
};
