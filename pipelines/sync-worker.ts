import type {Socket} from 'node:net';
import type pg from 'pg';
import {type Observable, Subscription, share, tap} from 'rxjs';
import {createEndpoint} from '../src/app-server/endpoint.ts';
import {NamedQueries} from '../src/app-server/named-queries.ts';
import {resolveQuery, transformBoth} from '../src/app-server/transform.ts';
import {NO_PERMISSIONS, type Permissions, PermissionsCache} from '../src/auth/permissions.ts';
import {createTokenVerifier} from '../src/auth/verify.ts';
import {shardName, type ZeroConfig} from '../src/config/config.ts';
import {CVR_PLANS, ensureCvrSchema} from '../src/cvr/schema.ts';
import type {StageBoard} from '../src/flow/stage.ts';
import {createQueryRegistry, type InspectableRegistry, LINGER_ROWS} from '../src/ivm/query-registry.ts';
import {FaultBook} from '../src/observe/fault-book.ts';
import type {WorkerInspection} from '../src/observe/inspection.ts';
import type {Log} from '../src/observe/log.ts';
import {createPool, explainConnection} from '../src/pg/connect.ts';
import {explainRefusal} from '../src/pg/explain-refusal.ts';
import {ProtocolError} from '../src/protocol/error-body.ts';
import type {ConversationRequest} from '../src/replay/record-protocol.ts';
import {createAcceptor} from '../src/sync/accept.ts';
import {analyzeAside} from '../src/sync/analyze-aside.ts';
import {primaryKeysOf} from '../src/sync/client-schema.ts';
import {CommitTimes} from '../src/sync/commit-times.ts';
import {InspectHandler} from '../src/sync/inspect.ts';
import {transformLocally} from '../src/sync/transform-locally.ts';
import type {HandedRequest, VersionReady} from '../src/sync/types.ts';
import {VERSION} from '../src/version.ts';
import {housekeeping} from './housekeeping.ts';
import {createIdentity} from './identity.ts';
import {handleMessages} from './messages.ts';
import {createMutations} from './mutations.ts';
import {advanceQueries} from './query.ts';
import {createServing} from './serving.ts';

export interface SyncWorkerDeps {
  readonly config: ZeroConfig;
  readonly workerIndex: number;
  readonly log: Log;
  readonly board: StageBoard;
  /** The first item tells that the replica is there. */
  readonly versions: Observable<VersionReady>;
  /** The query graphs cannot follow the replica; nothing more comes from here. */
  readonly onError: (error: unknown) => void;
}

export interface SyncWorker {
  accept(request: HandedRequest, socket: Socket, head: Buffer): void;
  inspect(): WorkerInspection;
  /** Sends a recorder what goes on between clients and their groups. */
  record(socket: Socket, request: ConversationRequest): Promise<void>;
  /** Reopens the idle snapshot, so that the replica's WAL can restart. */
  refresh(): void;
  /** Sends every client elsewhere, group by group within `handOverMs`, and ends. */
  stop(reason: string, handOverMs?: number): Promise<void>;
}

/** Of the fault book. */
const PERMISSIONS = 'permissions';

/** One worker process: its registry of query graphs, its client groups, and the pools they use. */
export const startSyncWorker = async (deps: SyncWorkerDeps): Promise<SyncWorker> => {
  const {config, log, board} = deps;
  const shard = shardName(config);
  const pools = openPools(config);
  const times = new CommitTimes();
  const versions = deps.versions.pipe(
    tap(ready => times.note(ready)),
    share(),
  );
  const running = new Subscription();
  const firstVersion = new Promise<void>((resolve, reject) => {
    running.add(versions.subscribe({next: () => resolve(), error: reject}));
  });
  await Promise.all([firstVersion, prepareViewRecords(pools.cvr, config)]);

  const registry = openRegistry(config, log);
  const permissions = new PermissionsCache(() => registry.permissionsRow());
  const faults = new FaultBook();
  const params = {schema: shard, appID: config.app.id};
  const mutations = createMutations({
    config,
    log,
    board,
    upstream: pools.upstream,
    permissions: () => permissions.current(),
    endpoint: createEndpoint(config.mutate, params),
  });
  const queryEndpoint = createEndpoint(config.query, params);
  const named = queryEndpoint && new NamedQueries(queryEndpoint);
  // An app that answers for its queries and mutations itself needs no permissions.
  const currentPermissions =
    named && mutations.custom ? () => permissions.current() : missingTold(permissions, config, log);
  const serving = createServing({
    shard,
    taskID: config.taskID,
    log,
    board,
    times,
    registry,
    cvrPool: pools.cvr,
    transform: transformBoth(transformLocally(currentPermissions), named, log),
    lingerMs: config.clientGroupLingerMs,
  });
  const verifier = createTokenVerifier(config);
  const identity = createIdentity({
    config,
    log,
    board,
    verifier,
    named,
    groups: () => serving.groups.values(),
  });
  let refusal: ProtocolError | null = null;
  const handler = handleMessages({
    serving,
    identity,
    mutations,
    inspector: createInspector(config, log, permissions, named),
    refusal: () => refusal,
  });

  const lookAtPermissions = () => {
    const was = faults.get(PERMISSIONS)?.what;
    const {fault} = permissions;
    faults.set(PERMISSIONS, fault, 'fault');
    // All workers see the same.
    if (was === fault?.message || deps.workerIndex > 0) return;
    if (fault) log.error({code: fault.code}, fault.message);
    else log.info('the deployed permissions can be read again');
  };
  lookAtPermissions();
  running.add(serving.advanced.subscribe(lookAtPermissions));

  const advancing = advanceQueries(versions, registry, serving, board, times).subscribe({
    error: deps.onError,
  });
  running.add(
    housekeeping({
      config,
      log,
      board,
      store: serving.store,
      cvr: pools.cvr,
      purges: deps.workerIndex === 0,
      live: () => serving.live(),
    }).subscribe(),
  );
  running.add(identity.maintenance.subscribe());

  return {
    accept: createAcceptor({config, handler, verifier, log}),
    inspect: () => ({
      index: deps.workerIndex,
      version: registry.version,
      stages: board.snapshot(),
      graphs: registry.inspectGraphs(),
      groups: [...serving.groups.values()].map(group => group.inspect()),
      faults: faults.standing,
      pastFaults: faults.past,
    }),
    record: async (socket, request) => {
      // Loaded when first asked for: most servers are never recorded.
      const {recordConversation} = await import('../src/replay/conversation/live.ts');
      const {
        app,
        shard: {num},
        enableQueryPlanner: usePlanner,
      } = config;
      const facts = {appID: app.id, shardNum: num, usePlanner};
      recordConversation(socket, {serving, registry, cvrPool: pools.cvr, shard, facts}, request);
    },
    refresh: () => registry.refresh(),
    stop: async (reason, handOverMs = 0) => {
      refusal = elsewhere('The server is going down.');
      running.unsubscribe();
      await serving.stop(elsewhere(reason), handOverMs);
      advancing.unsubscribe();
      mutations.stop();
      await Promise.all([pools.cvr.end(), pools.upstream.end()]);
      registry.close();
    },
  };
};

const openPools = (config: ZeroConfig): {readonly cvr: pg.Pool; readonly upstream: pg.Pool} => {
  const perWorker = (total: number, own: number | undefined) =>
    own ?? Math.max(1, Math.floor(total / Math.max(1, config.numSyncWorkers)));
  return {
    cvr: createPool(config.cvr.db, {
      purpose: 'cvr',
      setUp: CVR_PLANS,
      max: perWorker(config.cvr.maxConns, config.cvr.maxConnsPerWorker),
    }),
    upstream: createPool(config.upstream.db, {
      purpose: 'mutations',
      max: perWorker(config.upstream.maxConns, config.upstream.maxConnsPerWorker),
      pipeline: true,
    }),
  };
};

const prepareViewRecords = (pool: pg.Pool, config: ZeroConfig): Promise<void> =>
  ensureCvrSchema(pool, shardName(config)).catch(async error => {
    throw await explainRefusal(
      explainConnection(config.cvr.db, 'view records', error),
      'create the schema of the view records',
      pool,
      // The replicator may not come to say it, where it is the same role that lacks more than this.
      {replicates: config.cvr.db === config.upstream.db},
    );
  });

const openRegistry = (config: ZeroConfig, log: Log): InspectableRegistry =>
  createQueryRegistry({
    replicaFile: config.replica.file,
    appID: config.app.id,
    log,
    slowHydrateMs: config.log.slowHydrateThreshold,
    yieldMs: Math.max(2, config.yieldThresholdMs),
    usePlanner: config.enableQueryPlanner,
    countVisits: config.queryHydrationStats === true,
    lingerRows: LINGER_ROWS,
  });

/** The deployed permissions; where there are none, the log says once what that means. */
const missingTold = (permissions: PermissionsCache, config: ZeroConfig, log: Log): (() => Permissions) => {
  let told = false;
  return () => {
    const current = permissions.current();
    if (current === NO_PERMISSIONS && !told) {
      told = true;
      log.warn(
        `no permissions are deployed for app "${config.app.id}": client queries return no rows. Deploy them with zero-deploy-permissions.`,
      );
    }
    return current;
  };
};

const createInspector = (
  config: ZeroConfig,
  log: Log,
  permissions: PermissionsCache,
  named: NamedQueries | null,
): InspectHandler => {
  const resolve = resolveQuery(
    transformLocally(() => permissions.current()),
    named,
  );
  return new InspectHandler({
    config,
    version: config.serverVersion ?? VERSION,
    log,
    // Without rules it is analysed as it stands, not as one that returns no rows (views.md §8.1).
    resolve: async (query, connection) => {
      const isClients = 'ast' in query;
      if (isClients && permissions.current() === NO_PERMISSIONS) return {ast: query.ast, ruled: false};
      return {ast: await resolve(query, connection), ruled: isClients};
    },
    analyze: (ast, options, clientSchema) =>
      analyzeAside({
        ast,
        options,
        file: config.replica.file,
        analysis: {
          keys: primaryKeysOf(clientSchema),
          usePlanner: config.enableQueryPlanner,
          withRows: options.syncedRows !== false,
        },
      }),
  });
};

/** Soon, but not at once: whoever spreads the connections should know by then that this server takes none. */
const elsewhere = (message: string): ProtocolError =>
  new ProtocolError({kind: 'Rehome', message, origin: 'zeroCache', minBackoffMs: 500, maxBackoffMs: 1000});
