import type {IncomingMessage, ServerResponse} from 'node:http';
import {shardName, type ZeroConfig} from '../src/config/config.ts';
import {roleOf} from '../src/config/role.ts';
import {ChangeStreamerPortTaken} from '../src/errors.ts';
import type {StageBoard} from '../src/flow/stage.ts';
import {ChangeHub} from '../src/nodes/hub.ts';
import {rememberNode, snapshotAddress} from '../src/nodes/known-nodes.ts';
import {startNodeServer} from '../src/nodes/node-server.ts';
import {serveSnapshot} from '../src/nodes/serve-snapshot.ts';
import {SNAPSHOT_PATH} from '../src/nodes/snapshot-offer.ts';
import type {Subscriber} from '../src/nodes/subscriber.ts';
import type {ReplicatorInspection} from '../src/observe/inspection.ts';
import type {Log} from '../src/observe/log.ts';
import {createPool} from '../src/pg/connect.ts';
import type {Version} from '../src/pg/lsn.ts';
import type {FrameTap} from '../src/replay/frame-tap.ts';
import type {FileLock} from '../src/replica/file-lock.ts';
import {lockReplica} from '../src/replica/lock-replica.ts';
import type {ReplicatorEvent} from '../src/replication/events.ts';
import {requestUrl} from '../src/sync/handshake.ts';
import {serveChanges} from './change-stream.ts';
import {type Replicator, replicator} from './replicator.ts';
import {viewSyncer} from './view-syncer.ts';

/** Connections for nodes that catch up from the change log, however many there are. */
const READERS = 2;

export interface ReplicatingDeps {
  readonly config: ZeroConfig;
  readonly log: Log;
  readonly board: StageBoard;
  readonly tap?: FrameTap;
  /** The program that copies replicas, where it is not beside ours. */
  readonly copyProgram?: URL;
  readonly onEvent: (event: ReplicatorEvent) => void;
  readonly onError: (error: unknown) => void;
}

export interface Replicating {
  /** Port of the change-streamer; null if there is none. */
  readonly nodePort: number | null;
  readonly state: ReplicatorInspection['state'];
  inspect(): Promise<ReplicatorInspection>;
  stop(): void;
}

/**
 * What keeps a node's replica, by its role: the replicator, with the port at which other nodes get changes and the replica;
 * or the view-syncer's follower. @throws ChangeStreamerPortTaken, ReplicaInUse.
 */
export const startReplicating = async (deps: ReplicatingDeps): Promise<Replicating> => {
  const lock = await lockReplica(deps.config.replica.file);
  const start = roleOf(deps.config) === 'view-syncer' ? startFollowing : startOwning;
  return start(deps, lock).catch(error => {
    lock.release();
    throw error;
  });
};

const startOwning = async (deps: ReplicatingDeps, lock: FileLock): Promise<Replicating> => {
  const {config, log, board, onEvent, onError} = deps;
  const hub = new ChangeHub();
  const readers = createPool(config.change.db, {purpose: 'change-stream', max: READERS});
  const replica = shareReplica(deps, hub);
  const server = await startNodeServer({
    config,
    log,
    hub,
    serve: subscriber => {
      log.info({task: subscriber.subscription.taskID}, 'another node follows the changes');
      const address = snapshotAddress(subscriber);
      if (address)
        rememberNode(readers, shardName(config), address).catch(error =>
          log.warn({err: error as Error}, 'a node that hands out its replica could not be noted'),
        );
      serveChanges({board, hub, pool: readers, shard: shardName(config)}, subscriber).subscribe({
        error: error => subscriber.fail(error),
      });
    },
    respond: replica.respond,
  });
  const replicating = replicator({
    config,
    log,
    board,
    ...(deps.tap ? {tap: deps.tap} : {}),
    hub,
    isCopying: replica.isCopying,
  });
  const subscription = replicating.events.subscribe({
    next: event => {
      replica.note(event);
      onEvent(event);
    },
    error: onError,
  });
  return running(replicating, server?.port ?? null, () => {
    subscription.unsubscribe();
    server?.close();
    replica.close();
    void readers.end();
    lock.release();
  });
};

const running = (replicator: Replicator, nodePort: number | null, stop: () => void): Replicating => ({
  nodePort,
  stop,
  get state() {
    return replicator.state;
  },
  inspect: () => replicator.inspect(),
});

/**
 * A view-syncer. With a secret it hands out its replica as well, so that a replication-manager that has lost its own gets it
 * back from here; without one everybody who reaches this node would.
 */
const startFollowing = async (deps: ReplicatingDeps, lock: FileLock): Promise<Replicating> => {
  const {config, log, board, onEvent, onError} = deps;
  const hub = new ChangeHub();
  const replica = shareReplica(deps, hub);
  const refuse = (subscriber: Subscriber) => subscriber.close();
  const server = config.changeStreamer.secret
    ? await startNodeServer({config, log, hub, serve: refuse, respond: replica.respond}).catch(error => {
        if (!(error instanceof ChangeStreamerPortTaken)) throw error;
        log.warn(`${error.message} This node does not hand out its replica meanwhile.`);
        return null;
      })
    : null;
  const following = viewSyncer({
    config,
    log,
    board,
    snapshotPort: server?.port,
    isCopying: replica.isCopying,
  });
  const subscription = following.events.subscribe({
    next: event => {
      replica.note(event);
      onEvent(event);
    },
    error: onError,
  });
  return running(following, server?.port ?? null, () => {
    subscription.unsubscribe();
    server?.close();
    replica.close();
    lock.release();
  });
};

/** Hands out the replica for as long as it is one that others can go on from. */
const shareReplica = ({config, log, copyProgram}: ReplicatingDeps, hub: ChangeHub) => {
  let watermark: Version | null = null;
  const snapshots = serveSnapshot({
    file: config.replica.file,
    floor: hub.floor,
    secret: config.changeStreamer.secret,
    watermark: () => watermark,
    log,
    copyProgram,
  });
  hub.onLogRestart = () => snapshots.forget();
  return {
    respond: (request: IncomingMessage, response: ServerResponse): boolean => {
      if (requestUrl(request.url ?? '/')?.pathname !== SNAPSHOT_PATH) return false;
      void snapshots.handle(request, response);
      return true;
    },
    isCopying: () => snapshots.isCopying,
    note: (event: ReplicatorEvent) => {
      if (event.type === 'version-ready') watermark = event.ready.version;
      else if (event.type === 'recovery') {
        watermark = null;
        snapshots.forget();
      }
    },
    close: () => snapshots.close(),
  };
};
