import {readFileSync} from 'node:fs';
import type pg from 'pg';
import type {DaemonInspection} from '../../../src/observe/inspection.ts';
import {BenchServer} from '../helpers/bench-server.ts';
import {treeCpuMs} from '../helpers/process-tree.ts';
import type {World} from '../helpers/world.ts';

export const SECRET = 'between nodes';

/** A replication-manager and the view-syncers behind it, each a process tree with a replica of its own. */
export class Cluster {
  readonly manager: BenchServer;
  readonly viewSyncers: readonly BenchServer[];
  /** PostgreSQL's first process. */
  readonly #postmaster: number;

  private constructor(manager: BenchServer, viewSyncers: readonly BenchServer[], postmaster: number) {
    this.manager = manager;
    this.viewSyncers = viewSyncers;
    this.#postmaster = postmaster;
  }

  static async start(
    world: World,
    upstream: {readonly url: string; readonly appID: string; readonly client: pg.Client},
    nodes: number,
  ): Promise<Cluster> {
    const started: BenchServer[] = [];
    const start = async (env: Readonly<Record<string, string>>) => {
      const server = await BenchServer.start({
        kind: 'ours',
        upstream: upstream.url,
        appID: upstream.appID,
        env: {...world.envOf('ours'), ZERO_CHANGE_STREAMER_SECRET: SECRET, ...env},
      });
      started.push(server);
      return server;
    };
    try {
      const manager = await start({ZERO_NUM_SYNC_WORKERS: '0'});
      const uri = changeStreamerOf(manager);
      await Promise.all(Array.from({length: nodes}, () => start({ZERO_CHANGE_STREAMER_URI: uri})));
      const viewSyncers = started.filter(server => server !== manager);
      return new Cluster(manager, viewSyncers, await postmasterOf(upstream.client));
    } catch (error) {
      await Promise.all(started.map(server => server.stop()));
      throw error;
    }
  }

  /** Of the replication-manager, for other nodes. */
  get uri(): string {
    return changeStreamerOf(this.manager);
  }

  get urls(): readonly string[] {
    return this.viewSyncers.map(({url}) => url);
  }

  /** Of PostgreSQL's living processes; what connections that ended had used is not in it. */
  postgresCpuMs(): number {
    return treeCpuMs(this.#postmaster);
  }

  /** Bytes of changes that the replication-manager has sent to all view-syncers. */
  async changeBytes(): Promise<number> {
    const authorization = `Basic ${Buffer.from('bench:bench').toString('base64')}`;
    const answer = await fetch(`${this.manager.url}/pipelines`, {headers: {authorization}});
    const {replicator} = (await answer.json()) as DaemonInspection;
    return (replicator?.subscribers ?? []).reduce((sum, {sentBytes}) => sum + sentBytes, 0);
  }

  output(): string {
    return [this.manager, ...this.viewSyncers].map(server => server.output().slice(-2000)).join('\n');
  }

  async stop(): Promise<void> {
    await Promise.all(this.viewSyncers.map(server => server.stop()));
    await this.manager.stop();
  }
}

const changeStreamerOf = (manager: BenchServer): string => {
  const {hostname, port} = new URL(manager.url);
  return `ws://${hostname}:${Number(port) + 1}`;
};

const postmasterOf = async (client: pg.Client): Promise<number> => {
  const {rows} = await client.query<{pid: number}>('SELECT pg_backend_pid() AS pid');
  const stat = readFileSync(`/proc/${rows[0]!.pid}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
};
