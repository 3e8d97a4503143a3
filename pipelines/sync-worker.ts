import type {Socket} from 'node:net';
import {type Observable, share, tap} from 'rxjs';
import {createEndpoint} from '../src/app-server/endpoint.ts';
import {NamedQueries} from '../src/app-server/named-queries.ts';
import {resolveQuery, transformBoth} from '../src/app-server/transform.ts';
import {NO_PERMISSIONS, PermissionsCache} from '../src/auth/permissions.ts';
import {createTokenVerifier} from '../src/auth/verify.ts';
import {shardName, type ZeroConfig} from '../src/config/config.ts';
import {CVR_PLANS, ensureCvrSchema} from '../src/cvr/schema.ts';
import type {StageBoard} from '../src/flow/stage.ts';
import {createQueryRegistry, type InspectableRegistry, LINGER_ROWS} from '../src/ivm/query-registry.ts';
import type {WorkerInspection} from '../src/observe/inspection.ts';
import type {Log} from '../src/observe/log.ts';
import {createPool, explainConnection} from '../src/pg/connect.ts';
import {explainRefusal} from '../src/pg/explain-refusal.ts';
import {ProtocolError} from '../src/protocol/error-body.ts';
import type {Up} from '../src/protocol/up.ts';
import type {ConversationRequest} from '../src/replay/record-protocol.ts';
import {createAcceptor} from '../src/sync/accept.ts';
import {analyzeAside} from '../src/sync/analyze-aside.ts';
import type {ClientGroup} from '../src/sync/client-group.ts';
import {primaryKeysOf} from '../src/sync/client-schema.ts';
import {CommitTimes} from '../src/sync/commit-times.ts';
import {InspectHandler} from '../src/sync/inspect.ts';
import {transformLocally} from '../src/sync/transform-locally.ts';
import type {ClientConnection, HandedRequest, MessageHandler, VersionReady} from '../src/sync/types.ts';
import {VERSION} from '../src/version.ts';
import {housekeeping} from './housekeeping.ts';
import {createIdentity, namedPuts} from './identity.ts';
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

/** A group without clients is kept this long for a quick reconnect. */
const LINGER_MS = 5000;

/** One worker process: its registry of query graphs, its client groups, and the pools they use. */
export const startSyncWorker = async (deps: SyncWorkerDeps): Promise<SyncWorker> => {
  const {config, log, board} = deps;
  const shard = shardName(config);
  const perWorker = (total: number, own: number | undefined) =>
    own ?? Math.max(1, Math.floor(total / Math.max(1, config.numSyncWorkers)));
  const cvrPool = createPool(config.cvr.db, {
    purpose: 'cvr',
    setUp: CVR_PLANS,
    max: perWorker(config.cvr.maxConns, config.cvr.maxConnsPerWorker),
  });
  const upstreamPool = createPool(config.upstream.db, {
    purpose: 'mutations',
    max: perWorker(config.upstream.maxConns, config.upstream.maxConnsPerWorker),
    pipeline: true,
  });
  const times = new CommitTimes();
  const versions = deps.versions.pipe(
    tap(ready => times.note(ready)),
    share(),
  );
  const firstVersion = new Promise<void>((resolve, reject) => {
    versions.subscribe({next: () => resolve(), error: reject});
  });
  const cvrReady = ensureCvrSchema(cvrPool, shard).catch(async error => {
    throw await explainRefusal(
      explainConnection(config.cvr.db, 'view records', error),
      'create the schema of the view records',
      cvrPool,
      // The replicator may not come to say it, where it is the same role that lacks more than this.
      {replicates: config.cvr.db === config.upstream.db},
    );
  });
  await Promise.all([firstVersion, cvrReady]);

  const registry: InspectableRegistry = createQueryRegistry({
    replicaFile: config.replica.file,
    appID: config.app.id,
    log,
    slowHydrateMs: config.log.slowHydrateThreshold,
    yieldMs: Math.max(2, config.yieldThresholdMs),
    usePlanner: config.enableQueryPlanner,
    countVisits: config.queryHydrationStats === true,
    lingerRows: LINGER_ROWS,
  });
  const permissions = new PermissionsCache(() => registry.permissionsRow());
  const params = {schema: shard, appID: config.app.id};
  const mutations = createMutations({
    config,
    log,
    board,
    upstream: upstreamPool,
    permissions: () => permissions.current(),
    endpoint: createEndpoint(config.mutate, params),
  });
  const queryEndpoint = createEndpoint(config.query, params);
  const named = queryEndpoint && new NamedQueries(queryEndpoint);

  const serving = createServing({
    shard,
    taskID: config.taskID,
    log,
    board,
    times,
    registry,
    cvrPool,
    transform: transformBoth(
      transformLocally(() => currentPermissions()),
      named,
      log,
    ),
    lingerMs: LINGER_MS,
  });
  const {groups} = serving;
  const advancing = advanceQueries(versions, registry, serving, board, times).subscribe({
    error: error => {
      log.fatal({err: error}, 'the query graphs cannot follow the replica');
      process.exitCode = 1;
      process.disconnect?.();
    },
  });
  let stopping = false;
  const tidying = housekeeping({
    config,
    log,
    board,
    store: serving.store,
    cvr: cvrPool,
    purges: deps.workerIndex === 0,
    live: () => serving.live(),
  }).subscribe();
  let warned = false;
  const currentPermissions = () => {
    const current = permissions.current();
    // An app that answers for its queries and mutations itself needs none.
    if (current === NO_PERMISSIONS && !warned && !(named && mutations.custom)) {
      warned = true;
      log.warn(
        `no permissions are deployed for app "${config.app.id}": client queries return no rows. Deploy them with zero-deploy-permissions.`,
      );
    }
    return current;
  };

  const verifier = createTokenVerifier(config);
  const identity = createIdentity({config, log, board, verifier, named, groups: () => groups.values()});
  const maintaining = identity.maintenance.subscribe();
  const inspector = new InspectHandler({
    config,
    version: config.serverVersion ?? VERSION,
    log,
    resolve: resolveQuery(
      transformLocally(() => permissions.current()),
      named,
    ),
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
  const handler: MessageHandler = {
    connect: async connection => {
      if (stopping) throw elsewhere('The server is going down.');
      serving.groupOf(connection.clientGroupID).connect(connection);
    },
    message: async (connection, message) => {
      const group = groups.get(connection.clientGroupID);
      if (group) await handle(group, connection, message);
    },
    disconnected: connection => groups.get(connection.clientGroupID)?.disconnected(connection),
  };
  const handle = async (
    group: ClientGroup,
    connection: ClientConnection,
    [type, body]: Up,
  ): Promise<void> => {
    switch (type) {
      case 'initConnection':
        await identity.admit(group, connection, body);
        await group.init(connection, body);
        return mutations.custom?.forget(connection, body.deleted?.clientIDs ?? []);
      case 'changeDesiredQueries':
        await identity.prepare(connection, namedPuts(body.desiredQueriesPatch));
        return group.changeDesired(connection, body.desiredQueriesPatch);
      case 'deleteClients':
        await group.deleteClients(connection, body);
        return mutations.custom?.forget(connection, body.clientIDs ?? []);
      case 'push':
        return mutations.push(connection, body);
      case 'updateAuth':
        if (await identity.renew(group, connection, body.auth)) await group.updateAuth(connection);
        return;
      case 'ackMutationResponses':
        return mutations.custom?.seen(connection, body);
      case 'inspect':
        return inspector.handle(group, connection, body);
      // The reference ignores these as well (protocol.md §2.6).
      case 'pull':
      case 'ping':
      case 'closeConnection':
        return;
    }
  };
  const accept = createAcceptor({config, handler, verifier, log});

  return {
    accept,
    inspect: () => ({
      index: deps.workerIndex,
      version: registry.version,
      stages: board.snapshot(),
      graphs: registry.inspectGraphs(),
      groups: [...groups.values()].map(group => group.inspect()),
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
      recordConversation(socket, {serving, registry, cvrPool, shard, facts}, request);
    },
    refresh: () => registry.refresh(),
    stop: async (reason, handOverMs = 0) => {
      stopping = true;
      tidying.unsubscribe();
      maintaining.unsubscribe();
      await serving.stop(elsewhere(reason), handOverMs);
      advancing.unsubscribe();
      mutations.stop();
      await Promise.all([cvrPool.end(), upstreamPool.end()]);
      registry.close();
    },
  };
};

/** Soon, but not at once: whoever spreads the connections should know by then that this server takes none. */
const elsewhere = (message: string): ProtocolError =>
  new ProtocolError({kind: 'Rehome', message, origin: 'zeroCache', minBackoffMs: 500, maxBackoffMs: 1000});
