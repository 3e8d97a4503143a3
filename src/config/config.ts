/**
 * The daemon's configuration after parsing and normalisation: groups and fields as the original names them, so that
 * `upstream.db` is `ZERO_UPSTREAM_DB` and `--upstream-db` (config-ops.md §1). `undefined` = not set.
 */
export interface ZeroConfig {
  readonly upstream: {
    readonly db: string;
    readonly type: 'pg' | 'custom';
    readonly maxConns: number;
    readonly maxConnsPerWorker: number | undefined;
    readonly pgReplicationSlotFailover: boolean | undefined;
    readonly pgStreamInboundTimeoutMs: number | undefined;
  };
  readonly port: number;
  readonly app: {readonly id: string; readonly publications: readonly string[]};
  readonly shard: {readonly id: string | undefined; readonly num: number};
  readonly replica: {readonly file: string; readonly vacuumIntervalHours: number | undefined};
  readonly taskID: string;
  readonly serverVersion: string | undefined;
  readonly adminPassword: string | undefined;
  readonly autoReset: boolean;
  readonly keepaliveTimeoutMs: number | undefined;
  readonly lazyStartup: boolean;
  readonly enableTelemetry: boolean;
  readonly storageDBTmpDir: string | undefined;
  readonly mutate: AppEndpoint;
  readonly query: AppEndpoint;
  readonly enableCrudMutations: boolean;
  readonly perUserMutationLimit: {readonly max: number | undefined; readonly windowMs: number};
  readonly auth: {
    readonly jwk: string | undefined;
    readonly jwksUrl: string | undefined;
    readonly secret: string | undefined;
    readonly issuer: string | undefined;
    readonly audience: string | undefined;
    readonly revalidateIntervalSeconds: number;
    readonly retransformIntervalSeconds: number;
  };
  readonly cvr: {
    readonly db: string;
    readonly maxConns: number;
    readonly maxConnsPerWorker: number | undefined;
    readonly garbageCollectionInactivityThresholdHours: number;
    readonly garbageCollectionInitialIntervalSeconds: number;
    readonly garbageCollectionInitialBatchSize: number;
  };
  readonly change: {
    readonly db: string;
    readonly maxConns: number;
    readonly statementTimeoutMs: number;
    readonly logBatchSize: number;
  };
  readonly changeStreamer: {
    readonly uri: string | undefined;
    readonly mode: 'dedicated' | 'discover';
    readonly port: number;
    readonly address: string | undefined;
    readonly protocol: 'ws' | 'wss';
    readonly secret: string | undefined;
    readonly startupDelayMs: number;
    readonly backPressureLimitHeapProportion: number;
    readonly flowControlConsensusTimeoutProportion: number;
    readonly flowControlSlowSubscriberGracePeriodSeconds: number;
  };
  readonly replicationLagReportIntervalMs: number;
  readonly numSyncWorkers: number;
  readonly clientGroupLingerMs: number;
  readonly yieldThresholdMs: number;
  readonly enableQueryPlanner: boolean;
  readonly enableQueryCovering: boolean;
  readonly queryHydrationStats: boolean | undefined;
  readonly sqliteCorruptionChecks: boolean;
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly format: 'text' | 'json';
    readonly slowRowThreshold: number;
    readonly slowHydrateThreshold: number;
    readonly ivmSampling: number;
  };
  readonly websocketCompression: boolean;
  readonly websocketCompressionOptions: string | undefined;
  readonly websocketMaxPayloadBytes: number;
  readonly initialSync: {
    readonly tableCopyWorkers: number;
    readonly profileCopy: boolean | undefined;
    readonly textCopy: boolean;
  };
  /** `NODE_ENV=development`: no admin password needed, and the demo is allowed. */
  readonly development: boolean;
}

/** An endpoint of the application: mutate or query, the deprecated `push` / `getQueries` groups already merged in. */
export interface AppEndpoint {
  readonly url: readonly string[] | undefined;
  readonly apiKey: string | undefined;
  readonly forwardCookies: boolean;
  readonly allowedClientHeaders: readonly string[] | undefined;
  readonly allowedRequestHeaders: readonly string[] | undefined;
  readonly timeoutMs: number;
}

/** `{app}_{shard}`: the upstream schema of this shard, and the prefix of its slots. */
export const shardName = (config: Pick<ZeroConfig, 'app' | 'shard'>): string =>
  `${config.app.id}_${config.shard.num}`;
