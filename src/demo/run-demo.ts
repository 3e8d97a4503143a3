import {shardName} from '../config/config.ts';
import {runDaemon} from '../daemon/run-daemon.ts';
import {DevelopmentImpossible} from '../errors.ts';
import {createPool} from '../pg/connect.ts';
import {ensureShard} from '../pg/shard.ts';
import {VERSION} from '../version.ts';
import {allowEveryone} from './allow-everyone.ts';
import {daemonConfig} from './daemon-config.ts';
import {ensureDatabase, type Filled, ownerUrl, superuserUrl, withClient} from './database.ts';
import {DEMO_EXAMPLE} from './demo-schema.ts';
import {type DevFolder, emptyDevFolder, openDevFolder} from './dev-folder.ts';
import type {DevOptions} from './dev-options.ts';
import {fillDemo} from './fill-demo.ts';
import {lockFolder} from './folder-lock.ts';
import {isFree} from './free-port.ts';
import {pageServer} from './page-server.ts';
import {type PreparedPostgres, preparePostgres} from './prepare-postgres.ts';
import {createSay, type Say} from './say.ts';
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
    replica: 'replica.db',
  }).config;
  if (port !== 0 && !(await isFree(port)))
    throw new DevelopmentImpossible(
      `Port ${port} is in use by another program, perhaps another zerostream. Stop that one, or choose another port: zerostream dev --port ${port + 10}`,
    );
  say.line();
  say.line(`${say.bold('zerostream')} ${VERSION}, development mode`);
  say.line();
  const folder = await openDevFolder(process.cwd());
  const lock = lockFolder(folder.path);
  try {
    return await runInFolder(folder, options, say);
  } finally {
    lock.release();
  }
};

const runInFolder = async (folder: DevFolder, options: DevOptions, say: Say): Promise<number> => {
  const ended = await endStaleServer(folder.data);
  if (ended) say.line(`! A PostgreSQL left by an earlier run (process ${ended}) was ended.`);
  if (options.reset) {
    await emptyDevFolder(folder);
    say.line(`${say.dim('–')} .zero/ emptied: everything begins anew`);
  }
  const postgres = await preparePostgres(folder, say, options.postgresPort);
  try {
    return await serve(folder, postgres, options, say);
  } finally {
    await postgres.server.stop();
    say.line(say.dim('All has ended, PostgreSQL too; the data stays in .zero/.'));
  }
};

const serve = async (
  folder: DevFolder,
  {server, password}: PreparedPostgres,
  options: DevOptions,
  say: Say,
): Promise<number> => {
  const url = superuserUrl(server.port, password);
  const filled = await say.step(
    'filling the database',
    () => ensureDatabase(url, {from: 'demo', hash: ''}, fillDemo),
    describeFilled,
  );
  const {config, warnings} = daemonConfig(options.daemonArgs, process.env, {url, replica: folder.replica});
  await say.step(
    'deploying permissions',
    () =>
      withClient(url, async client => {
        await ensureShard(client, {
          appID: config.app.id,
          shardNum: config.shard.num,
          publications: config.app.publications,
        });
        return allowEveryone(client, config.app.id);
      }),
    ours =>
      ours
        ? 'permissions: anyone may read and write everything, which is for trying out only'
        : `permissions: those you deployed to ${shardName(config)}`,
  );
  const startedAt = performance.now();
  const example = filled.origin.from === 'demo' ? DEMO_EXAMPLE : null;
  const psql = createPool(ownerUrl(server.port), {purpose: 'demo-page', max: 1});
  return runDaemon({
    config,
    version: VERSION,
    remarks: warnings.map(text => ({level: 'warn' as const, text})),
    host: '127.0.0.1',
    page: pageServer({
      facts: () => ({
        version: VERSION,
        connectionString: ownerUrl(server.port),
        example,
        from: filled.origin.from,
      }),
      runExample: example && (async () => void (await psql.query(example))),
    }),
    onReady: () => {
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      say.line(
        `✓ the server holds a replica of it in .zero/replica.db and takes clients  ${say.dim(`${seconds} s`)}`,
      );
      introduce(config.port, server.port, say);
    },
    onStop: () => psql.end(),
    fault: server.exited.then(() => `PostgreSQL ended by itself. The end of ${folder.log} tells why.`),
  });
};

const introduce = (port: number, postgresPort: number, say: Say): void => {
  say.line();
  say.line(`${say.bold(`http://localhost:${port}/`)}   open it in two windows, and edit in one`);
  say.line(`psql ${ownerUrl(postgresPort)}   change rows from here: both follow`);
  const url = port === 4848 ? '' : ` --url http://localhost:${port}`;
  say.line(`npx zerostream inspect-pipeline --watch${url}   see how the changes flow`);
  say.line();
  say.line(say.dim('Ctrl-C stops all of it; the data stays. zerostream dev --help tells more.'));
  say.line();
};

const describeFilled = ({tables, rows, fresh}: Filled): string =>
  `database "demo" ${fresh ? 'filled' : 'as it was left'}: ${tables} tables with about ${rows.toLocaleString('en')} rows`;
