import type pg from 'pg';
import {SETTLE_MS, sleep} from '../helpers/wait.ts';
import type {Cluster} from './cluster.ts';

/** What a stretch of work took from the machines. */
export interface Costs {
  /** CPU of the replication-manager, of all view-syncers together, and of PostgreSQL. */
  readonly managerCpuMs: number;
  readonly serverCpuMs: number;
  readonly postgresCpuMs: number;
  /** Growth of the view-syncers' process trees (PSS). */
  readonly memoryBytes: number;
  /** WAL that PostgreSQL wrote: client view records above all, the change log, and the changes themselves. */
  readonly walBytes: number;
  /** Poke frames that reached clients. */
  readonly pokeBytes: number;
  /** Changes from the replication-manager to the view-syncers. */
  readonly changeBytes: number;
  /** Wall clock, without the settling afterwards. */
  readonly ms: number;
}

export type Cost = keyof Costs;
export const COSTS = [
  ...(['managerCpuMs', 'serverCpuMs', 'postgresCpuMs', 'memoryBytes'] as const),
  ...(['walBytes', 'pokeBytes', 'changeBytes', 'ms'] as const),
] satisfies Cost[];

export interface Meter {
  /** Costs of `work` and of what the servers do after it. */
  measure(work: () => Promise<void>): Promise<Costs>;
}

export const createMeter = (cluster: Cluster, upstream: pg.Client, pokeBytes: () => number): Meter => {
  const sum = (of: (server: Cluster['manager']) => number) =>
    cluster.viewSyncers.reduce((total, server) => total + of(server), 0);
  const read = async (): Promise<Omit<Costs, 'ms'>> => {
    const {rows} = await upstream.query<{bytes: string}>(
      "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') AS bytes",
    );
    return {
      changeBytes: await cluster.changeBytes(),
      managerCpuMs: cluster.manager.cpuMs(),
      serverCpuMs: sum(server => server.cpuMs()),
      postgresCpuMs: cluster.postgresCpuMs(),
      memoryBytes: sum(server => server.memoryBytes()),
      walBytes: Number(rows[0]!.bytes),
      pokeBytes: pokeBytes(),
    };
  };
  return {
    measure: async work => {
      const before = await read();
      const startedAt = performance.now();
      await work();
      const ms = performance.now() - startedAt;
      await sleep(SETTLE_MS);
      const after = await read();
      return mapCosts(cost => (cost === 'ms' ? ms : after[cost] - before[cost]));
    },
  };
};

export const perUnit = (costs: Costs, units: number): Costs => mapCosts(cost => costs[cost] / units);

export const mapCosts = (value: (cost: Cost) => number): Costs =>
  Object.fromEntries(COSTS.map(cost => [cost, value(cost)])) as Record<Cost, number>;
