import type {ZeroConfig} from './config.ts';

/** Adds a line for each rule that does not hold (config-ops.md §1.8). Values stay out of the lines: they may be secrets. */
export const validateConfig = (config: ZeroConfig, problems: string[]): void => {
  const require = (holds: boolean, problem: string) => {
    if (!holds) problems.push(problem);
  };
  const isUrl = (text: string) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text);
  require(config.upstream.db !==
    '', 'Missing required option ZERO_UPSTREAM_DB: the connection string of the PostgreSQL database to sync from.');
  for (const [name, url] of [
    ['ZERO_UPSTREAM_DB', config.upstream.db],
    ['ZERO_CVR_DB', config.cvr.db],
    ['ZERO_CHANGE_DB', config.change.db],
  ] as const)
    require(url === '' ||
      isUrl(url), `${name} must be a connection string like postgres://user:password@host:5432/database.`);
  require(config.upstream.type === 'pg', 'ZERO_UPSTREAM_TYPE: custom change sources are not built yet.');
  require(/^[a-z0-9_]+$/.test(
    config.app.id,
  ), 'ZERO_APP_ID: The App ID may only consist of lower-case letters, numbers, and the underscore character.');
  require(config.shard.id ===
    undefined, 'ZERO_SHARD_ID is no longer an option. Please use ZERO_APP_ID instead.');
  for (const name of config.app.publications)
    require(/^[a-zA-Z][a-zA-Z0-9_]{0,62}$/.test(
      name,
    ), 'ZERO_APP_PUBLICATIONS: names are letters, digits and underscores, at most 63, not beginning with an underscore.');
  for (const [name, value] of [
    ['ZERO_PORT', config.port],
    ['ZERO_CHANGE_STREAMER_PORT', config.changeStreamer.port],
  ] as const)
    require(Number.isInteger(value) && value >= 0 && value < 65_536, `${name} must be a port number.`);
  for (const [name, value, least] of [
    ['ZERO_NUM_SYNC_WORKERS', config.numSyncWorkers, 0],
    ['ZERO_SHARD_NUM', config.shard.num, 0],
    ['ZERO_UPSTREAM_MAX_CONNS', config.upstream.maxConns, 1],
    ['ZERO_CVR_MAX_CONNS', config.cvr.maxConns, 1],
    ['ZERO_CHANGE_MAX_CONNS', config.change.maxConns, 1],
    ['ZERO_CHANGE_LOG_BATCH_SIZE', config.change.logBatchSize, 1],
    ['ZERO_INITIAL_SYNC_TABLE_COPY_WORKERS', config.initialSync.tableCopyWorkers, 1],
    ['ZERO_WEBSOCKET_MAX_PAYLOAD_BYTES', config.websocketMaxPayloadBytes, 1],
    ['ZERO_PER_USER_MUTATION_LIMIT_WINDOW_MS', config.perUserMutationLimit.windowMs, 1],
    ['ZERO_PER_USER_MUTATION_LIMIT_MAX', config.perUserMutationLimit.max ?? 0, 0],
  ] as const)
    require(Number.isInteger(value) &&
      value >= least, `${name} must be a whole number of at least ${least}.`);
  require(!config.enableCrudMutations ||
    config.upstream.maxConns >=
      config.numSyncWorkers, 'ZERO_UPSTREAM_MAX_CONNS must allow at least one connection per sync worker (ZERO_NUM_SYNC_WORKERS).');
  require(config.cvr.maxConns >=
    config.numSyncWorkers, 'ZERO_CVR_MAX_CONNS must allow at least one connection per sync worker (ZERO_NUM_SYNC_WORKERS).');
  require(config.development ||
    Boolean(config.adminPassword), 'ZERO_ADMIN_PASSWORD is required, unless NODE_ENV=development.');
  const keys = [config.auth.jwk, config.auth.jwksUrl, config.auth.secret].filter(Boolean);
  require(keys.length <= 1, 'Set only one of ZERO_AUTH_JWK, ZERO_AUTH_JWKS_URL and ZERO_AUTH_SECRET.');
  require(isJson(config.auth.jwk), 'ZERO_AUTH_JWK must be JSON.');
  require(isJson(config.websocketCompressionOptions), 'ZERO_WEBSOCKET_COMPRESSION_OPTIONS must be JSON.');
  require(config.changeStreamer.uri === undefined &&
    config.changeStreamer.mode === 'dedicated' &&
    config.numSyncWorkers >
      0, 'Several nodes are not built yet: leave ZERO_CHANGE_STREAMER_URI and ZERO_CHANGE_STREAMER_MODE unset and ZERO_NUM_SYNC_WORKERS above 0.');
};

const isJson = (text: string | undefined): boolean => {
  if (text === undefined) return true;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};
