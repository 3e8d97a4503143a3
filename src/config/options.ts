/** How an option's text is read. */
export type OptionType = 'string' | 'number' | 'boolean' | 'list' | readonly string[];

export interface OptionSpec {
  /** `group.field`, from which flag and environment name follow (config-ops.md §1.1). */
  readonly path: string;
  readonly type: OptionType;
  readonly default?: string | number | boolean | readonly string[] | undefined;
  readonly description: string;
  readonly hidden?: boolean;
  readonly deprecated?: boolean;
  /** Accepted, but what it asks for is not built yet: said at start when it is set. */
  readonly later?: boolean;
}

const option = (
  path: string,
  type: OptionType,
  fallback: OptionSpec['default'] | null,
  description: string,
  marks = '',
): OptionSpec => ({
  path,
  type,
  ...(fallback === null ? {} : {default: fallback}),
  description,
  hidden: marks.includes('H'),
  deprecated: marks.includes('D'),
  later: marks.includes('L'),
});

const endpoint = (group: string, what: string, marks: string): OptionSpec[] => [
  option(
    `${group}.url`,
    'list',
    null,
    `URL patterns of the app's ${what} endpoint; the first is the default target.`,
    `L${marks}`,
  ),
  option(`${group}.apiKey`, 'string', null, `Sent to the ${what} endpoint as X-Api-Key.`, `L${marks}`),
  option(
    `${group}.forwardCookies`,
    'boolean',
    false,
    `Forward the client's cookies to the ${what} endpoint.`,
    `L${marks}`,
  ),
  option(
    `${group}.allowedClientHeaders`,
    'list',
    null,
    `Headers set by the client that reach the ${what} endpoint.`,
    `L${marks}`,
  ),
  option(
    `${group}.allowedRequestHeaders`,
    'list',
    null,
    `Headers of the upgrade request that reach the ${what} endpoint.`,
    `L${marks}`,
  ),
];

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** Every option, in the order of the help text. Marks: H hidden · D deprecated · L its feature comes later. */
export const OPTIONS: readonly OptionSpec[] = [
  option(
    'upstream.db',
    'string',
    null,
    'Connection string of the PostgreSQL database to sync from. A direct connection: poolers cannot carry logical replication. Without any configuration an embedded demo database is started.',
  ),
  option(
    'upstream.type',
    ['pg', 'custom'],
    'pg',
    'Kind of upstream. Custom change sources are not built yet.',
    'H',
  ),
  option(
    'upstream.maxConns',
    'number',
    20,
    'Connections for committing mutations, divided evenly among sync workers.',
  ),
  option('upstream.maxConnsPerWorker', 'number', null, 'Connections for mutations of one worker.', 'H'),
  option(
    'upstream.pgReplicationSlotFailover',
    'boolean',
    null,
    'Create the slot with FAILOVER (PostgreSQL 17 and newer).',
  ),
  option(
    'upstream.pgStreamInboundTimeoutMs',
    'number',
    null,
    'Silence (ms) after which the replication stream is reconnected. Unset: twice wal_sender_timeout.',
  ),
  option('port', 'number', 4848, 'Port for sync connections and the HTTP endpoints.'),
  option(
    'app.id',
    'string',
    'zero',
    'Unique name of the app: lower-case letters, digits, underscores. Several apps may share one upstream.',
  ),
  option(
    'app.publications',
    'list',
    [],
    'Publications to replicate; they must exist and must not begin with an underscore. Empty: every table in the schema public.',
  ),
  option('shard.id', 'string', null, 'No longer supported; use ZERO_APP_ID.', 'H'),
  option('shard.num', 'number', 0, 'Shard number, for tests.', 'H'),
  option(
    'replica.file',
    'string',
    'zero.db',
    'Path of the SQLite replica. It may be lost: a new sync rebuilds it.',
  ),
  option(
    'replica.vacuumIntervalHours',
    'number',
    null,
    'VACUUM at start if the last one is older than this many hours. Unset: never.',
    'L',
  ),
  option(
    'taskID',
    'string',
    null,
    'Unique id of this instance, for ownership of view records and in logs. Unset: the ECS task, else random.',
  ),
  option('serverVersion', 'string', null, 'Version text shown at start and to inspectors.'),
  option(
    'adminPassword',
    'string',
    null,
    'Password for /statz, /heapz, /pipelines and the inspector. Needed unless NODE_ENV=development.',
  ),
  option('autoReset', 'boolean', true, 'Rebuild the replica by itself when replication cannot continue.'),
  option(
    'keepaliveTimeoutMs',
    'number',
    null,
    'Drain when /keepalive requests stop coming for this long (ms).',
  ),
  option('lazyStartup', 'boolean', false, 'Start replication with the first client connection.', 'L'),
  option(
    'enableTelemetry',
    'boolean',
    true,
    'Anonymous usage metrics. This server sends none; accepted for compatibility.',
  ),
  option(
    'storageDBTmpDir',
    'string',
    null,
    'Folder for operator state. Ours is kept in memory; accepted for compatibility.',
    'L',
  ),
  option('targetClientRowCount', 'number', 20_000, 'Ignored.', 'HD'),
  ...endpoint('mutate', 'mutate', ''),
  ...endpoint('query', 'query', ''),
  ...endpoint('push', 'mutate', 'HD'),
  ...endpoint('getQueries', 'query', 'HD'),
  option(
    'enableCrudMutations',
    'boolean',
    true,
    'Accept CRUD mutations. false: no upstream connections, such pushes are refused.',
  ),
  option(
    'perUserMutationLimit.max',
    'number',
    null,
    'Mutations a user may make within the window. Unset: no limit; 0: none at all.',
  ),
  option('perUserMutationLimit.windowMs', 'number', 60_000, 'Length of the sliding window (ms).'),
  option('auth.jwk', 'string', null, 'Public JSON web key (JSON) that verifies auth tokens.', 'D'),
  option('auth.jwksUrl', 'string', null, 'URL of the key set that verifies auth tokens.', 'D'),
  option('auth.secret', 'string', null, 'Symmetric key that verifies auth tokens.', 'D'),
  option('auth.issuer', 'string', null, 'Issuer (iss) that auth tokens must name.', 'D'),
  option('auth.audience', 'string', null, 'Audience (aud) that auth tokens must name.', 'D'),
  option(
    'auth.revalidateIntervalSeconds',
    'number',
    300,
    'How often each connection is validated with the query endpoint.',
    'L',
  ),
  option(
    'auth.retransformIntervalSeconds',
    'number',
    300,
    'How often named queries are asked for again.',
    'L',
  ),
  option('cvr.db', 'string', null, 'Database for client view records. Unset: the upstream database.'),
  option('cvr.maxConns', 'number', 30, 'Connections to the CVR database, divided evenly among sync workers.'),
  option('cvr.maxConnsPerWorker', 'number', null, 'CVR connections of one worker.', 'H'),
  option(
    'cvr.garbageCollectionInactivityThresholdHours',
    'number',
    48,
    'Hours without activity after which a view record may be purged.',
    'L',
  ),
  option(
    'cvr.garbageCollectionInitialIntervalSeconds',
    'number',
    60,
    'First interval between purges; it doubles up to 16 minutes while there is nothing to do.',
    'L',
  ),
  option(
    'cvr.garbageCollectionInitialBatchSize',
    'number',
    25,
    'View records purged at once at first; 0 turns purging off.',
    'L',
  ),
  option('change.db', 'string', null, 'Database for the change log. Unset: the upstream database.'),
  option('change.maxConns', 'number', 5, 'Connections to the change-log database.'),
  option('change.statementTimeoutMs', 'number', 20_000, 'Time limit (ms) of change-log statements.', 'H'),
  option('change.logBatchSize', 'number', 2000, 'Rows per INSERT into the change log.', 'H'),
  option(
    'changeStreamer.uri',
    'string',
    null,
    'Replication-manager to take changes from, instead of replicating here.',
    'L',
  ),
  option(
    'changeStreamer.mode',
    ['dedicated', 'discover'],
    'dedicated',
    'discover: find the replication-manager through the change database.',
    'L',
  ),
  option('changeStreamer.port', 'number', null, 'Port of the change-streamer. Unset: port + 1.', 'L'),
  option(
    'changeStreamer.address',
    'string',
    null,
    'Address that other nodes find in the change database.',
    'HDL',
  ),
  option('changeStreamer.protocol', ['ws', 'wss'], 'ws', 'Protocol of the change-streamer.', 'HDL'),
  option(
    'changeStreamer.discoveryInterfacePreferences',
    'list',
    ['eth', 'en'],
    'Preferred network interfaces.',
    'HL',
  ),
  option(
    'changeStreamer.startupDelayMs',
    'number',
    15_000,
    'Wait (ms) before a new replication-manager takes over.',
    'L',
  ),
  option(
    'changeStreamer.backPressureLimitHeapProportion',
    'number',
    0.04,
    'Share of the heap that queued changes may take.',
    'L',
  ),
  option(
    'changeStreamer.flowControlConsensusTimeoutProportion',
    'number',
    2,
    'Extra wait for slow subscribers, relative to the majority.',
    'L',
  ),
  option('changeStreamer.flowControlConsensusPaddingSeconds', 'number', null, 'Renamed; ignored.', 'HD'),
  option(
    'changeStreamer.flowControlSlowSubscriberGracePeriodSeconds',
    'number',
    30,
    'Lag (s) after which a subscriber is dropped.',
    'L',
  ),
  option(
    'changeStreamer.sqliteChangeLogMode',
    ['off', 'write', 'compare', 'serve'],
    'off',
    'Change log in SQLite.',
    'HL',
  ),
  option('changeStreamer.sqliteChangeLogReadPercent', 'number', 0, 'Share of reads from it.', 'HL'),
  option('changeStreamer.sqliteChangeLogColdReadPercent', 'number', 0, 'Share of cold reads from it.', 'HL'),
  option('changeStreamer.sqliteChangeLogComparePercent', 'number', 1, 'Share of compared reads.', 'HL'),
  option(
    'changeStreamer.sqliteChangeLogRetentionMs',
    'number',
    60_000,
    'How long it keeps entries (ms).',
    'HL',
  ),
  option('changeStreamer.sqliteChangeLogReadBatchRows', 'number', 1000, 'Rows per read.', 'HL'),
  option('changeStreamer.sqliteChangeLogPurgeBatchRows', 'number', 1000, 'Rows per purge.', 'HL'),
  option('changeStreamer.sqliteChangeLogBarrierTimeoutMs', 'number', 300_000, 'Barrier timeout (ms).', 'HL'),
  option(
    'replicationLagReportIntervalMs',
    'number',
    30_000,
    'Interval (ms) of lag probes through the WAL; 0 or less: none.',
    'L',
  ),
  option(
    'numSyncWorkers',
    'number',
    null,
    'Processes that serve clients. Unset: the cores but one, at least 1. 0 makes this node a replication-manager.',
  ),
  option(
    'yieldThresholdMs',
    'number',
    10,
    'Longest time slice (ms) of query work before others get a turn.',
    'L',
  ),
  option('enableQueryPlanner', 'boolean', true, 'Choose the direction of EXISTS from statistics.', 'L'),
  option('enableQueryCovering', 'boolean', true, 'Log covering statistics.', 'L'),
  option('queryHydrationStats', 'boolean', null, 'Count the rows that slow hydrations read.', 'L'),
  option(
    'sqliteCorruptionChecks',
    'boolean',
    false,
    'Run a full integrity check when damage is found.',
    'HL',
  ),
  option('log.level', LEVELS, 'info', 'Least important level that is logged.'),
  option('log.format', ['text', 'json'], 'text', 'Lines for people or one JSON object per line.'),
  option('log.slowRowThreshold', 'number', 2, 'Fetches of a row slower than this (ms) are logged.', 'L'),
  option(
    'log.slowHydrateThreshold',
    'number',
    100,
    'Hydrations slower than this (ms) are logged with their query.',
  ),
  option('log.ivmSampling', 'number', 5000, 'Log one of this many query steps.', 'L'),
  option('websocketCompression', 'boolean', false, 'Compress client sockets (permessage-deflate).'),
  option('websocketCompressionOptions', 'string', null, 'JSON options for it, as the ws package takes them.'),
  option(
    'websocketMaxPayloadBytes',
    'number',
    10_485_760,
    'Largest message a client may send; above it the socket is closed with 1009.',
  ),
  option('initialSync.tableCopyWorkers', 'number', 5, 'Tables copied in parallel by the initial sync.'),
  option('initialSync.profileCopy', 'boolean', null, 'CPU profile of the copy.', 'HL'),
  option('initialSync.textCopy', 'boolean', false, 'Copy in text format. Ours always does.'),
  option('shadowSync.enabled', 'boolean', false, 'Trial initial syncs now and then.', 'L'),
  option('shadowSync.intervalHours', 'number', 12, 'Hours between them.', 'L'),
  option('shadowSync.sampleRate', 'number', 0.1, 'Share of rows they copy.', 'L'),
  option('shadowSync.maxRowsPerTable', 'number', 10_000, 'Rows per table they copy.', 'L'),
  option('cloudEvent.sinkEnv', 'string', null, 'Name of the variable that holds a CloudEvents sink.', 'L'),
  option(
    'cloudEvent.extensionOverridesEnv',
    'string',
    null,
    'Name of the variable that holds CloudEvents extensions.',
    'L',
  ),
  option('litestream.backupURL', 'string', null, 'Where backups go.', 'L'),
  option('litestream.executable', 'string', null, 'Litestream 0.3 binary.', 'L'),
  option('litestream.executableV5', 'string', null, 'Litestream 0.5 binary.', 'L'),
  option('litestream.restoreUsingV5', 'boolean', true, 'Restore with 0.5.', 'L'),
  option('litestream.backupUsingV5', 'boolean', false, 'Back up with 0.5.', 'L'),
  option(
    'litestream.configPath',
    'string',
    './src/services/litestream/config.yml',
    'Configuration of 0.3.',
    'L',
  ),
  option(
    'litestream.configPathV5',
    'string',
    './src/services/litestream/config-v5.yml',
    'Configuration of 0.5.',
    'L',
  ),
  option('litestream.vfsQueryExecutable', 'string', null, 'Binary that polls the backup.', 'L'),
  option('litestream.vfsPollIntervalMs', 'number', 15_000, 'Its interval (ms).', 'L'),
  option('litestream.vfsPollTimeoutMs', 'number', 10_000, 'Its time limit (ms).', 'L'),
  option('litestream.vfsLogFile', 'string', null, 'Its log.', 'L'),
  option('litestream.logLevel', LEVELS, 'warn', 'Log level of Litestream.', 'L'),
  option('litestream.endpoint', 'string', null, 'S3-compatible endpoint.', 'L'),
  option('litestream.region', 'string', null, 'Region of the bucket.', 'L'),
  option('litestream.port', 'number', null, 'Metrics port. Unset: port + 2.', 'L'),
  option('litestream.checkpointThresholdMB', 'number', 40, 'Checkpoint threshold (MB).', 'L'),
  option('litestream.minCheckpointPageCount', 'number', null, 'Pages of a passive checkpoint.', 'L'),
  option('litestream.maxCheckpointPageCount', 'number', null, 'Pages of a restarting checkpoint.', 'L'),
  option(
    'litestream.incrementalBackupIntervalMinutes',
    'number',
    5,
    'Minutes between increments (0.3).',
    'L',
  ),
  option(
    'litestream.incrementalBackupIntervalSeconds',
    'number',
    15,
    'Seconds between increments (0.5).',
    'L',
  ),
  option('litestream.snapshotBackupIntervalHours', 'number', 4, 'Hours between snapshots.', 'L'),
  option('litestream.restoreParallelism', 'number', 48, 'Parallel downloads.', 'L'),
  option('litestream.multipartConcurrency', 'number', 48, 'Parallel uploads.', 'L'),
  option('litestream.multipartSize', 'number', 16_777_216, 'Bytes per upload.', 'L'),
];

/** `upstream.maxConns` → `--upstream-max-conns`. */
export const flagOf = ({path}: Pick<OptionSpec, 'path'>): string =>
  `--${path
    .replaceAll('.', '-')
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replaceAll(/([A-Z]+)([A-Z][a-z])/g, '$1-$2')
    .toLowerCase()}`;

/** `upstream.maxConns` → `ZERO_UPSTREAM_MAX_CONNS`. */
export const envOf = (spec: Pick<OptionSpec, 'path'>): string =>
  `ZERO_${flagOf(spec).slice(2).replaceAll('-', '_').toUpperCase()}`;
