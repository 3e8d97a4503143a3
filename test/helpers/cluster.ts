import {expect} from 'vitest';
import type {DaemonInspection} from '../../src/observe/inspection.ts';
import {dumpReplica} from '../../src/replay/dump-replica.ts';
import {openReader} from '../../src/replica/open.ts';
import {type Daemon, type DaemonOptions, startDaemon} from './daemon.ts';
import type {TestDatabase} from './postgres.ts';
import {until} from './until.ts';

/** The port of a daemon's change-streamer, as other nodes reach it. */
export const changeStreamer = (daemon: Pick<Daemon, 'port'>): string => `ws://127.0.0.1:${daemon.port + 1}`;

type NodeOptions = Omit<DaemonOptions, 'upstream' | 'appID'>;

const node = (db: TestDatabase, options: NodeOptions, env: Readonly<Record<string, string>>) =>
  startDaemon({...options, upstream: db.url, appID: db.appID, env: {...env, ...options.env}});

export const replicationManager = (db: TestDatabase, options: NodeOptions = {}): Promise<Daemon> =>
  node(db, options, {ZERO_NUM_SYNC_WORKERS: '0'});

/** Without an address it needs to be told how to find one. */
export const viewSyncer = (
  db: TestDatabase,
  uri: string | null,
  options: NodeOptions = {},
): Promise<Daemon> => node(db, options, uri === null ? {} : {ZERO_CHANGE_STREAMER_URI: uri});

/** Waits until one replica is row for row the other; fails with the difference. A replica may be missing while it is fetched. */
export const becomesEqual = async (
  one: Pick<Daemon, 'replicaFile'>,
  other: Pick<Daemon, 'replicaFile'>,
): Promise<void> => {
  const now = (node: Pick<Daemon, 'replicaFile'>) => {
    try {
      return dump(node);
    } catch {
      return [];
    }
  };
  // Looked at once: a moment later the other may have gone on by itself.
  let seen: {readonly got: readonly string[]; readonly wanted: readonly string[]} = {got: [], wanted: []};
  await until(
    () => {
      const wanted = now(other);
      seen = {got: now(one), wanted};
      return wanted.length > 0 && seen.got.join('\n') === wanted.join('\n');
    },
    'the replicas are equal',
    20_000,
  ).catch(() => {});
  expect(seen.got).toEqual(seen.wanted);
};

/** SIGKILL of one process; the others must end by themselves, and the whole with a code that is not 0. */
export const killProcess = async (daemon: Daemon, victim: string): Promise<void> => {
  const response = await fetch(`${daemon.url}/pipelines`);
  const {processes} = (await response.json()) as DaemonInspection;
  const target = processes.find(({name}) => name === victim);
  if (!target) throw new Error(`no ${victim} among ${processes.map(({name}) => name)}`);
  process.kill(target.pid, 'SIGKILL');
  expect(await daemon.exited).not.toBe(0);
  await until(() => processes.every(({pid}) => !alive(pid)), `no process outlives a killed ${victim}`);
};

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** Everything in the replica of a running daemon, as of one version. */
export const dump = ({replicaFile}: Pick<Daemon, 'replicaFile'>): string[] => {
  const db = openReader(replicaFile);
  try {
    return db.transaction(() => [...dumpReplica(db)])();
  } finally {
    db.close();
  }
};
