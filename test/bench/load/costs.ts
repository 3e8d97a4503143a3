import type pg from 'pg';
import type {BenchServer} from '../helpers/bench-server.ts';
import {SETTLE_MS, sleep} from '../helpers/wait.ts';

/** What a stretch of work took from the machine. */
export interface Costs {
  readonly cpuMs: number;
  /** Growth of the server's process tree (PSS). */
  readonly memoryBytes: number;
  /** WAL that PostgreSQL wrote: client view records above all, and the changes themselves. */
  readonly walBytes: number;
  /** Poke frames that reached clients. */
  readonly networkBytes: number;
  /** Wall clock, without the settling afterwards. */
  readonly ms: number;
}

export type Cost = keyof Costs;
export const COSTS = ['cpuMs', 'memoryBytes', 'walBytes', 'networkBytes', 'ms'] as const satisfies Cost[];

export interface Meter {
  /** Costs of `work` and of what the server does after it. */
  measure(work: () => Promise<void>): Promise<Costs>;
}

export const createMeter = (server: BenchServer, upstream: pg.Client, networkBytes: () => number): Meter => {
  const wal = async (): Promise<number> => {
    const {rows} = await upstream.query<{bytes: string}>(
      "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') AS bytes",
    );
    return Number(rows[0]!.bytes);
  };
  return {
    measure: async work => {
      const before = {
        cpuMs: server.cpuMs(),
        memoryBytes: server.memoryBytes(),
        walBytes: await wal(),
        networkBytes: networkBytes(),
      };
      const startedAt = performance.now();
      await work();
      const ms = performance.now() - startedAt;
      await sleep(SETTLE_MS);
      return {
        cpuMs: server.cpuMs() - before.cpuMs,
        memoryBytes: server.memoryBytes() - before.memoryBytes,
        walBytes: (await wal()) - before.walBytes,
        networkBytes: networkBytes() - before.networkBytes,
        ms,
      };
    },
  };
};

export const perUnit = (costs: Costs, units: number): Costs => mapCosts(cost => costs[cost] / units);

export const mapCosts = (value: (cost: Cost) => number): Costs => ({
  cpuMs: value('cpuMs'),
  memoryBytes: value('memoryBytes'),
  walBytes: value('walBytes'),
  networkBytes: value('networkBytes'),
  ms: value('ms'),
});
