import type {ZeroConfig} from './config.ts';
import type {OptionValues} from './option-table.ts';
import {replicaPathProblem} from './replica-path.ts';
import {roleOf} from './role.ts';
import {DATABASE_URL, isDatabaseUrl, isUrl, isUrlPattern} from './urls.ts';

/**
 * One line for each rule that does not hold, naming the option, what is wrong and what to do (config-ops.md §1.8).
 * Values of options that may hold secrets stay out of the lines. Ranges of single options are checked as they are read.
 */
export const validateConfig = (config: ZeroConfig, options: OptionValues): readonly string[] => [
  ...identity(config),
  ...databases(options),
  ...addresses(config, options),
  ...workers(config),
  ...nodes(config, options),
  ...backup(options),
  ...access(config),
  ...replicaFile(config.replica.file),
];

const identity = ({app, shard, upstream}: ZeroConfig): readonly string[] => [
  ...unless(
    /^[a-z0-9_]+$/.test(app.id),
    'ZERO_APP_ID (--app-id): must consist of lower-case letters, digits and underscores',
  ),
  ...unless(
    shard.id === undefined,
    'ZERO_SHARD_ID (--shard-id): no longer an option; use ZERO_APP_ID (--app-id) to tell apps apart',
  ),
  ...unless(
    upstream.type === 'pg',
    'ZERO_UPSTREAM_TYPE (--upstream-type): custom change sources are not supported; remove the option',
  ),
  ...app.publications.flatMap(publication),
];

const publication = (name: string): readonly string[] => {
  const shown = /^\w{1,80}$/.test(name) ? ` "${name}"` : '';
  const complain = (what: string) => [`ZERO_APP_PUBLICATIONS (--app-publications): the name${shown} ${what}`];
  if (name.startsWith('_')) return complain('begins with an underscore, which is reserved for our own');
  if (Buffer.byteLength(name) > 63) return complain('is longer than the 63 bytes that PostgreSQL allows');
  if (!/^[a-z][a-z0-9_]*$/i.test(name))
    return complain(
      'may only hold letters, digits and underscores and begins with a letter; names are separated by commas in the environment, by spaces on the command line',
    );
  return [];
};

const databases = ({upstream, cvr, change}: OptionValues): readonly string[] => [
  ...unless(
    upstream.db !== undefined,
    'Missing required option ZERO_UPSTREAM_DB (--upstream-db): the PostgreSQL to replicate, as postgres://user:password@host:5432/database; for a demonstration with a database of its own: zerostream dev',
  ),
  ...databaseUrl('ZERO_UPSTREAM_DB (--upstream-db)', upstream.db),
  ...databaseUrl('ZERO_CVR_DB (--cvr-db)', cvr.db),
  ...databaseUrl('ZERO_CHANGE_DB (--change-db)', change.db),
];

const databaseUrl = (name: string, url: string | undefined): readonly string[] =>
  unless(url === undefined || isDatabaseUrl(url), `${name}: must be ${DATABASE_URL}`);

const addresses = ({auth, changeStreamer}: ZeroConfig, options: OptionValues): readonly string[] => [
  ...endpointUrls('ZERO_MUTATE_URL (--mutate-url)', options.mutate.url),
  ...endpointUrls('ZERO_QUERY_URL (--query-url)', options.query.url),
  ...endpointUrls('ZERO_PUSH_URL (--push-url)', options.push.url),
  ...endpointUrls('ZERO_GET_QUERIES_URL (--get-queries-url)', options.getQueries.url),
  ...unless(
    auth.jwksUrl === undefined || isUrl(auth.jwksUrl, /^https?:$/),
    'ZERO_AUTH_JWKS_URL (--auth-jwks-url): must be an http or https URL',
  ),
  ...unless(
    changeStreamer.uri === undefined || isUrl(changeStreamer.uri, /^(ws|http)s?:$/),
    'ZERO_CHANGE_STREAMER_URI (--change-streamer-uri): must be a URL such as ws://replication-manager:4849/',
  ),
];

const endpointUrls = (name: string, urls: readonly string[] | undefined): readonly string[] =>
  (urls ?? []).flatMap((url, index) =>
    unless(
      isUrlPattern(url),
      `${name}: entry ${index + 1} must be an http or https URL, in which * and :name may stand for parts`,
    ),
  );

const workers = (config: ZeroConfig): readonly string[] => {
  const {upstream, cvr, numSyncWorkers, port, changeStreamer, enableCrudMutations} = config;
  const each = `each of the ${numSyncWorkers} sync workers (ZERO_NUM_SYNC_WORKERS, --num-sync-workers) needs a connection; raise the one or lower the other`;
  return [
    ...unless(
      !enableCrudMutations || upstream.maxConns >= numSyncWorkers,
      `ZERO_UPSTREAM_MAX_CONNS (--upstream-max-conns): ${upstream.maxConns} is too few, ${each}`,
    ),
    ...unless(
      cvr.maxConns >= numSyncWorkers,
      `ZERO_CVR_MAX_CONNS (--cvr-max-conns): ${cvr.maxConns} is too few, ${each}`,
    ),
    ...unless(
      changeStreamer.port <= 65_535,
      'ZERO_PORT (--port): leaves no port for the change-streamer, which uses the next one; choose a lower port or set ZERO_CHANGE_STREAMER_PORT (--change-streamer-port)',
    ),
    ...unless(
      port === 0 || changeStreamer.port !== port,
      'ZERO_CHANGE_STREAMER_PORT (--change-streamer-port): must differ from ZERO_PORT (--port)',
    ),
  ];
};

const nodes = (config: ZeroConfig, {changeStreamer: log}: OptionValues): readonly string[] => {
  const {lazyStartup, numSyncWorkers} = config;
  const viewSyncer = roleOf(config) === 'view-syncer';
  return [
    ...unless(
      !viewSyncer || numSyncWorkers > 0,
      'ZERO_NUM_SYNC_WORKERS (--num-sync-workers): 0 makes a replication-manager, but ZERO_CHANGE_STREAMER_URI (--change-streamer-uri) or ZERO_CHANGE_STREAMER_MODE=discover makes a view-syncer; remove the one or the others',
    ),
    ...unless(
      !lazyStartup || (!viewSyncer && numSyncWorkers > 0),
      'ZERO_LAZY_STARTUP (--lazy-startup): works on a single node only; remove it, or run without ZERO_CHANGE_STREAMER_URI, ZERO_CHANGE_STREAMER_MODE=discover and ZERO_NUM_SYNC_WORKERS=0',
    ),
    ...unless(
      log.sqliteChangeLogMode === 'off' || !viewSyncer,
      'ZERO_CHANGE_STREAMER_SQLITE_CHANGE_LOG_MODE (--change-streamer-sqlite-change-log-mode): only for the node that runs the change-streamer; remove it here',
    ),
    ...unless(
      log.sqliteChangeLogMode === 'serve' ||
        (log.sqliteChangeLogReadPercent === 0 && log.sqliteChangeLogColdReadPercent === 0),
      'ZERO_CHANGE_STREAMER_SQLITE_CHANGE_LOG_READ_PERCENT and …_COLD_READ_PERCENT: must be 0 unless ZERO_CHANGE_STREAMER_SQLITE_CHANGE_LOG_MODE is serve',
    ),
    ...unless(
      log.sqliteChangeLogColdReadPercent === 0 || log.sqliteChangeLogReadPercent > 0,
      'ZERO_CHANGE_STREAMER_SQLITE_CHANGE_LOG_COLD_READ_PERCENT: needs …_READ_PERCENT above 0',
    ),
  ];
};

const backup = ({litestream}: OptionValues): readonly string[] => {
  const usesV5 = litestream.restoreUsingV5 || litestream.backupUsingV5;
  return [
    ...unless(
      !litestream.backupUsingV5 || litestream.restoreUsingV5,
      'ZERO_LITESTREAM_BACKUP_USING_V5 (--litestream-backup-using-v5): needs ZERO_LITESTREAM_RESTORE_USING_V5 to be true too',
    ),
    ...unless(
      litestream.backupURL === undefined || !usesV5 || litestream.executableV5 !== undefined,
      'ZERO_LITESTREAM_BACKUP_URL (--litestream-backup-url): needs ZERO_LITESTREAM_EXECUTABLE_V5, or ZERO_LITESTREAM_RESTORE_USING_V5=false; backups have no effect here, so it can be removed altogether',
    ),
  ];
};

const access = ({adminPassword, development, auth}: ZeroConfig): readonly string[] => [
  ...unless(
    development || adminPassword !== undefined,
    'Missing required option ZERO_ADMIN_PASSWORD (--admin-password): protects statistics and inspection; set NODE_ENV=development to do without on your own machine',
  ),
  ...unless(
    [auth.jwk, auth.jwksUrl, auth.secret].filter(key => key !== undefined).length <= 1,
    'ZERO_AUTH_JWK, ZERO_AUTH_JWKS_URL and ZERO_AUTH_SECRET: tokens are verified by one key only; set one of the three',
  ),
];

const replicaFile = (file: string): readonly string[] => {
  const problem = replicaPathProblem(file);
  return problem === undefined ? [] : [`ZERO_REPLICA_FILE (--replica-file): ${problem}`];
};

const unless = (holds: boolean, problem: string): readonly string[] => (holds ? [] : [problem]);
