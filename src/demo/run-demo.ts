import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {runDaemon} from '../daemon/run-daemon.ts';
import {DevelopmentImpossible} from '../errors.ts';
import {createPool} from '../pg/connect.ts';
import {VERSION} from '../version.ts';
import {daemonConfig} from './daemon-config.ts';
import {ownerUrl, superuserUrl} from './database.ts';
import {DEMO_EXAMPLE} from './demo-schema.ts';
import {type DevFolder, emptyDevFolder, openDevFolder, removeUnfinished} from './dev-folder.ts';
import type {DevOptions} from './dev-options.ts';
import {lockFolder} from './folder-lock.ts';
import {listenFault} from './free-port.ts';
import {type Interruption, watchSignals} from './interruption.ts';
import {isLocalOrigin} from './local-origin.ts';
import {pageServer} from './page-server.ts';
import {prepareDatabase} from './prepare-database.ts';
import {type PreparedPostgres, preparePostgres} from './prepare-postgres.ts';
import {createSay, type Say} from './say.ts';
import {readSqlFile, type SqlFile} from './sql-file.ts';
import {endStaleServer} from './stale-server.ts';

/**
 * Development mode: a PostgreSQL of its own in `.zero/`, a schema with rows, permissions, the daemon, and a page.
 * Everything ends together. @returns the exit code. @throws DevelopmentImpossible, ConfigError
 */
export const runDemo = async (options: DevOptions = {daemonArgs: []}): Promise<number> => {
  const say = createSay();
  // Faults of the command line show before anything is made.
  const {port} = daemonConfig(options.daemonArgs, process.env, {
    url: 'postgres://127.0.0.1/demo',
    // Any place that can be written: the real one is not made yet.
    replica: join(tmpdir(), 'zerostream.db'),
  }).config;
  const file = options.sql === undefined ? null : readSqlFile(options.sql);
  const fault = port === 0 ? null : await listenFault(port);
  if (fault !== null)
    throw new DevelopmentImpossible(
      fault === 'EADDRINUSE'
        ? `Port ${port} is in use by another program, perhaps another zerostream. Stop that one, or choose another port: npx zerostream dev --port ${port + 10}`
        : `You may not listen on port ${port} (${fault}). Choose one above 1023, such as npx zerostream dev --port 4848`,
    );
  say.line();
  say.line(`${say.bold('zerostream')} ${VERSION}, development mode`);
  say.line();
  const folder = await openDevFolder(process.cwd());
  const lock = lockFolder(folder.path);
  const interruption = watchSignals();
  try {
    return await Promise.race([runInFolder(folder, file, options, say, interruption), interruption.ended]);
  } catch (error) {
    // Of programs that were interrupted.
    if (interruption.happened) return await interruption.ended;
    throw error;
  } finally {
    interruption.release();
    if (interruption.happened) {
      await removeUnfinished(folder);
      say.line();
      say.line(say.dim('Stopped before it was ready; nothing runs any more.'));
    }
    lock.release();
  }
};

const runInFolder = async (
  folder: DevFolder,
  file: SqlFile | null,
  options: DevOptions,
  say: Say,
  interruption: Interruption,
): Promise<number> => {
  const ended = await endStaleServer(folder.data);
  if (ended) say.line(`! A PostgreSQL left by an earlier run (process ${ended}) was ended.`);
  if (options.reset) {
    await emptyDevFolder(folder);
    say.line(`${say.dim('–')} .zero/ emptied: everything begins anew`);
  }
  const postgres = await preparePostgres(folder, say, options.postgresPort);
  try {
    return await serve(folder, postgres, file, options, say, interruption);
  } finally {
    await postgres.server.stop();
    say.line();
    say.line(say.dim('All has ended, PostgreSQL too; the data stays in .zero/.'));
  }
};

const serve = async (
  folder: DevFolder,
  postgres: PreparedPostgres,
  file: SqlFile | null,
  options: DevOptions,
  say: Say,
  interruption: Interruption,
): Promise<number> => {
  const {server, password} = postgres;
  const {config, warnings} = daemonConfig(options.daemonArgs, process.env, {
    url: superuserUrl(server.port, password),
    replica: folder.replica,
  });
  const {filled, tables} = await prepareDatabase(postgres, file, config, say);
  const startedAt = performance.now();
  const demo = filled.origin.from === 'demo';
  const connectionString = ownerUrl(server.port);
  const psql = createPool(connectionString, {purpose: 'demo-page', max: 1});
  interruption.release();
  return runDaemon({
    config,
    version: VERSION,
    remarks: warnings.map(text => ({level: 'warn' as const, text})),
    host: '127.0.0.1',
    admits: isLocalOrigin,
    page: pageServer({
      facts: async () => ({
        version: VERSION,
        connectionString,
        example: demo ? DEMO_EXAMPLE : null,
        from: filled.origin.from,
        tables: await tables(),
      }),
      runExample: demo ? async () => void (await psql.query(DEMO_EXAMPLE)) : null,
    }),
    onReady: () => {
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      say.line(
        `✓ the server holds a replica of it in .zero/replica.db and takes clients  ${say.dim(`${seconds} s`)}`,
      );
      introduce(config.port, connectionString, demo, say);
    },
    onStop: () => psql.end(),
    fault: server.exited.then(() => `PostgreSQL ended by itself. The end of ${folder.log} tells why.`),
  });
};

const introduce = (port: number, connectionString: string, demo: boolean, say: Say): void => {
  const page = `http://localhost:${port}/`;
  const inspect = `npx zerostream inspect-pipeline --watch${port === 4848 ? '' : ` --url http://localhost:${port}`}`;
  say.line();
  if (demo) say.line(`${say.bold(page)}   open it in two windows, and edit in one`);
  else {
    say.line(`${say.bold(page)}   your tables, live`);
    say.line(`new Zero({cacheURL: '${page.slice(0, -1)}', …})   for your app`);
  }
  say.line(`psql ${connectionString}   change rows from here: they follow`);
  say.line(`${inspect}   see how the changes flow`);
  say.line();
  say.line(say.dim('Ctrl-C stops all of it; the data stays. npx zerostream dev --help tells more.'));
  say.line();
};
