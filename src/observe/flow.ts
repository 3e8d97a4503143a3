import type {StageStats} from '../flow/stage.ts';
import type {DaemonInspection} from './inspection.ts';
import {byPlace} from './topology.ts';

/** A stage over the time between two inspections, or since the start where there is only one. */
export interface StageFlow extends StageStats {
  /** Without its chain: `apply`. */
  readonly label: string;
  readonly chain: string;
  readonly inPerSecond: number;
  readonly outPerSecond: number;
  readonly bytesPerSecond: number;
  /** Shares of the time, 0…1. Waiting: something was in flight, but the stage itself had nothing to do. */
  readonly busy: number;
  readonly waiting: number;
  /** Age of `lagMs` in ms, as far from the measure as the inspection is. */
  readonly lagAgeMs: number | null;
}

export interface Lane {
  readonly process: string;
  readonly chains: readonly {readonly name: string; readonly stages: readonly StageFlow[]}[];
}

/** The stages of every process in order, with rates. */
export const lanesOf = (now: DaemonInspection, before: DaemonInspection | null): Lane[] => {
  const ms = Math.max(1, now.atMs - (before?.atMs ?? now.startedAtMs));
  const lane = (
    process: string,
    stages: readonly StageStats[],
    old: readonly StageStats[] | undefined,
  ): Lane => {
    const chains = new Map<string, StageFlow[]>();
    const earlier = new Map(old?.map(stage => [stage.name, stage]));
    for (const stage of byPlace(stages)) {
      const flow = flowOf(stage, earlier.get(stage.name), ms, now.atMs);
      const chain = chains.get(flow.chain);
      if (chain) chain.push(flow);
      else chains.set(flow.chain, [flow]);
    }
    return {process, chains: [...chains].map(([name, flows]) => ({name, stages: flows}))};
  };
  return [
    ...(now.replicator ? [lane('replicator', now.replicator.stages, before?.replicator?.stages)] : []),
    ...now.workers.map(worker =>
      lane(
        `sync-worker-${worker.index}`,
        worker.stages,
        before?.workers.find(({index}) => index === worker.index)?.stages,
      ),
    ),
  ];
};

const flowOf = (stage: StageStats, earlier: StageStats | undefined, ms: number, atMs: number): StageFlow => {
  // A restarted process counts from zero again.
  const old = earlier && earlier.itemsIn <= stage.itemsIn ? earlier : undefined;
  const perSecond = (value: number, from: number | undefined) => ((value - (from ?? 0)) / ms) * 1000;
  const busyMs = stage.busyMs - (old?.busyMs ?? 0);
  const dot = stage.name.indexOf('.');
  return {
    ...stage,
    chain: stage.name.slice(0, dot),
    label: stage.name.slice(dot + 1),
    inPerSecond: perSecond(stage.itemsIn, old?.itemsIn),
    outPerSecond: perSecond(stage.itemsOut, old?.itemsOut),
    bytesPerSecond: perSecond(stage.bytesIn, old?.bytesIn),
    busy: share(busyMs, ms),
    waiting: share(stage.occupiedMs - (old?.occupiedMs ?? 0) - busyMs, ms),
    lagAgeMs: stage.lagAtMs === null ? null : Math.max(0, atMs - stage.lagAtMs),
  };
};

const share = (ms: number, ofMs: number): number => Math.min(1, Math.max(0, ms / ofMs));
