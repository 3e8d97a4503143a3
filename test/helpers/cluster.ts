import {dumpReplica} from '../../src/replay/dump-replica.ts';
import {openReader} from '../../src/replica/open.ts';
import {type Daemon, type DaemonOptions, startDaemon} from './daemon.ts';
import type {TestDatabase} from './postgres.ts';

/** The port of a daemon's change-streamer, as other nodes reach it. */
export const changeStreamer = (daemon: Pick<Daemon, 'port'>): string => `ws://127.0.0.1:${daemon.port + 1}`;

type NodeOptions = Omit<DaemonOptions, 'upstream' | 'appID'>;

const node = (db: TestDatabase, options: NodeOptions, env: Readonly<Record<string, string>>) =>
  startDaemon({...options, upstream: db.url, appID: db.appID, env: {...env, ...options.env}});

export const replicationManager = (db: TestDatabase, options: NodeOptions = {}): Promise<Daemon> =>
  node(db, options, {ZERO_NUM_SYNC_WORKERS: '0'});

export const viewSyncer = (db: TestDatabase, uri: string, options: NodeOptions = {}): Promise<Daemon> =>
  node(db, options, {ZERO_CHANGE_STREAMER_URI: uri});

/** Everything in the replica of a running daemon, as of one version. */
export const dump = ({replicaFile}: Pick<Daemon, 'replicaFile'>): string[] => {
  const db = openReader(replicaFile);
  try {
    return db.transaction(() => [...dumpReplica(db)])();
  } finally {
    db.close();
  }
};
