import {Gauge, Registry} from 'prom-client';
import type {DaemonInspection} from './inspection.ts';

/** Prometheus text of what an inspection says. */
export const metricsText = async (inspection: DaemonInspection): Promise<string> => {
  const registry = new Registry();
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({name: `zerostream_${name}`, help, labelNames: [...labelNames], registers: [registry]});
  const rss = gauge('process_resident_bytes', 'Resident memory', ['process']);
  const cpu = gauge('process_cpu_ms', 'CPU time used', ['process']);
  for (const {name, rssBytes, cpuMs} of inspection.processes) {
    rss.set({process: name}, rssBytes);
    cpu.set({process: name}, cpuMs);
  }
  const items = gauge('stage_items', 'Items that came into a stage', ['process', 'stage']);
  const busy = gauge('stage_busy_ms', 'Time a stage worked', ['process', 'stage']);
  const sources = [
    ...(inspection.replicator ? [{name: 'replicator', stages: inspection.replicator.stages}] : []),
    ...inspection.workers.map(worker => ({name: `sync-worker-${worker.index}`, stages: worker.stages})),
  ];
  for (const {name, stages} of sources)
    for (const stage of stages) {
      items.set({process: name, stage: stage.name}, stage.itemsIn);
      busy.set({process: name, stage: stage.name}, stage.busyMs);
    }
  if (inspection.replicator) {
    gauge('replica_bytes', 'Size of the replica file').set(inspection.replicator.replicaBytes);
    gauge('replica_wal_bytes', "Size of the replica's WAL").set(inspection.replicator.walBytes);
    gauge('recoveries', 'Rebuilds of the replica since start').set(inspection.replicator.recoveries.length);
    if (inspection.replicator.lagMs !== null)
      gauge('replication_lag_ms', 'Upstream commit to replica, last measured').set(
        inspection.replicator.lagMs,
      );
  }
  const sum = (of: (worker: DaemonInspection['workers'][number]) => number) =>
    inspection.workers.reduce((total, worker) => total + of(worker), 0);
  gauge('client_groups', 'Client groups served').set(sum(worker => worker.groups.length));
  gauge('clients', 'Clients connected').set(
    sum(worker => worker.groups.reduce((n, group) => n + group.clients.length, 0)),
  );
  gauge('query_graphs', 'Query graphs maintained').set(sum(worker => worker.graphs.length));
  gauge('query_rows', 'Rows held by query graphs').set(
    sum(worker => worker.graphs.reduce((n, graph) => n + graph.rows, 0)),
  );
  return registry.metrics();
};
