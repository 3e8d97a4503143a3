import {type DaemonInspection, faultsOf, type WorkerInspection} from './inspection.ts';

type Labels = Readonly<Record<string, string>>;

/** One instrument. Names are the original's where it has one (config-ops.md §4.2), else ours below `zero.stage` and so on. */
export interface Metric {
  /** `zero.{category}.{name}`. */
  readonly name: string;
  readonly kind: 'gauge' | 'counter';
  /** UCUM, as OpenTelemetry wants it: `s`, `By`, `1`. */
  readonly unit: string;
  readonly about: string;
  /** What an inspection says of it; nothing if it is not known. */
  readonly read: (inspection: DaemonInspection) => readonly (readonly [value: number, labels: Labels])[];
}

const one = (value: number | null | undefined): readonly (readonly [number, Labels])[] =>
  value === null || value === undefined ? [] : [[value, {}]];

const sum = ({workers}: DaemonInspection, of: (worker: WorkerInspection) => number) =>
  one(workers.reduce((total, worker) => total + of(worker), 0));

const seconds = (ms: number | null | undefined) => one(ms === null || ms === undefined ? null : ms / 1000);

const stagesOf = ({replicator, workers}: DaemonInspection) => [
  ...(replicator?.stages.map(stage => ({stage, process: 'replicator'})) ?? []),
  ...workers.flatMap(worker => worker.stages.map(stage => ({stage, process: `sync-worker-${worker.index}`}))),
];

type Stage = ReturnType<typeof stagesOf>[number]['stage'];

const perStage =
  (of: (stage: Stage) => number | null): Metric['read'] =>
  inspection =>
    stagesOf(inspection).flatMap(({stage, process}) => {
      const value = of(stage);
      return value === null ? [] : [[value, {process, stage: stage.name}] as const];
    });

const stageItems = (name: string, of: (stage: Stage) => number) => (inspection: DaemonInspection) =>
  one(
    stagesOf(inspection)
      .filter(({stage}) => stage.name === name)
      .reduce((total, {stage}) => total + of(stage), 0),
  );

const gauge = (name: string, unit: string, about: string, read: Metric['read']): Metric => ({
  name: `zero.${name}`,
  kind: 'gauge',
  unit,
  about,
  read,
});

const counter = (name: string, unit: string, about: string, read: Metric['read']): Metric => ({
  name: `zero.${name}`,
  kind: 'counter',
  unit,
  about,
  read,
});

/** Everything that is measured, for Prometheus and OTLP alike. */
export const METRICS: readonly Metric[] = [
  gauge('server.uptime', 's', 'Time since the start', ({atMs, startedAtMs}) => seconds(atMs - startedAtMs)),
  gauge('process.resident_memory', 'By', 'Resident memory of a process', ({processes}) =>
    processes.map(({name, rssBytes}) => [rssBytes, {process: name}]),
  ),
  counter('process.cpu_time', 's', 'CPU time that a process used', ({processes}) =>
    processes.map(({name, cpuMs}) => [cpuMs / 1000, {process: name}]),
  ),
  gauge('sync.active-clients', '1', 'Clients connected', i =>
    sum(i, ({groups}) => groups.reduce((n, group) => n + group.clients.length, 0)),
  ),
  gauge('sync.active-client-groups', '1', 'Client groups served', i => sum(i, ({groups}) => groups.length)),
  gauge('sync.queries', '1', 'Queries of all client groups', i =>
    sum(i, ({groups}) => groups.reduce((n, group) => n + group.queries.length, 0)),
  ),
  gauge('sync.rows', '1', 'Rows held by query graphs', i =>
    sum(i, ({graphs}) => graphs.reduce((n, graph) => n + graph.rows, 0)),
  ),
  gauge('sync.pipelines_total', '1', 'Subscriptions to query graphs', i =>
    sum(i, ({graphs}) => graphs.reduce((n, graph) => n + graph.subscribers, 0)),
  ),
  gauge('sync.pipelines_unique', '1', 'Query graphs that are maintained', i =>
    sum(i, ({graphs}) => graphs.length),
  ),
  counter('sync.ivm.advance-time', 's', 'Time spent moving query graphs to newer versions', i =>
    stageItems('query.advance', stage => stage.busyMs / 1000)(i),
  ),
  counter('sync.poke.transactions', '1', 'Cycles of client groups that ended with their pokes', i =>
    stageItems('client-group.poke', stage => stage.itemsOut)(i),
  ),
  counter('sync.cvr.flush_attempts', '1', 'Cycles of client groups that came to their view record', i =>
    stageItems('client-group.commit', stage => stage.itemsIn)(i),
  ),
  gauge('sync.serving_lag', 's', 'Commit upstream until delivered to client groups, last measured', i => {
    const lags = stagesOf(i).flatMap(({stage}) =>
      stage.name === 'query.deliver' && stage.lagMs !== null ? [stage.lagMs] : [],
    );
    return lags.length ? seconds(Math.max(...lags)) : [];
  }),
  counter('mutation.pushes', '1', 'Mutations that were pushed', i =>
    stageItems('mutations.limit', stage => stage.itemsIn)(i),
  ),
  counter('mutation.crud', '1', 'Mutations that were run upstream', i =>
    stageItems('mutations.execute', stage => stage.itemsIn)(i),
  ),
  counter('replication.events', '1', 'Batches of frames decoded', i =>
    stageItems('replication.decode', stage => stage.itemsIn)(i),
  ),
  counter('replication.received', 'By', 'Bytes of WAL decoded', i =>
    stageItems('replication.decode', stage => stage.bytesIn)(i),
  ),
  gauge('replication.total_lag', 's', 'Commit upstream until in the replica, last measured', ({replicator}) =>
    seconds(replicator?.lagMs),
  ),
  gauge('replication.slot_retained_wal_bytes', 'By', 'WAL kept upstream for the slot', ({replicator}) =>
    one(replicator?.slot?.retainedBytes),
  ),
  gauge(
    'replication.slot_health',
    '1',
    '1 while the slot has its WAL, 0 when it was lost',
    ({replicator}) => {
      const status = replicator?.slot?.walStatus;
      return status ? [[status === 'lost' ? 0 : 1, {wal_status: status}]] : [];
    },
  ),
  gauge('replication.state', '1', '1 for the state that replication is in', ({replicator}) =>
    replicator ? [[1, {state: replicator.state}]] : [],
  ),
  counter(
    'replication.resets',
    '1',
    'Rebuilds of the replica since the start, by error code',
    ({replicator}) => {
      const byCode = new Map<string, number>();
      for (const {code} of replicator?.recoveries ?? []) byCode.set(code, (byCode.get(code) ?? 0) + 1);
      return [...byCode].map(([code, count]) => [count, {code}]);
    },
  ),
  gauge('replication.faults', '1', 'Faults that stand now, by error code and severity', inspection => {
    const counts = new Map<string, [number, Labels]>();
    for (const {code, severity} of faultsOf(inspection)) {
      const count = counts.get(code + severity);
      if (count) count[0]++;
      else counts.set(code + severity, [1, {code, severity}]);
    }
    return [...counts.values()];
  }),
  gauge('replica.db_size', 'By', 'Size of the replica', ({replicator}) => one(replicator?.replicaBytes)),
  gauge('replica.wal_size', 'By', "Size of the replica's WAL", ({replicator}) => one(replicator?.walBytes)),
  counter(
    'stage.items',
    '1',
    'Items that came into a stage',
    perStage(stage => stage.itemsIn),
  ),
  counter(
    'stage.busy',
    's',
    'Time that a stage worked',
    perStage(stage => stage.busyMs / 1000),
  ),
  gauge(
    'stage.in_flight',
    '1',
    'Items that a stage holds',
    perStage(stage => stage.inFlight),
  ),
  gauge(
    'stage.in_flight_bytes',
    'By',
    'Bytes that a stage holds',
    perStage(stage => stage.bytesInFlight),
  ),
  gauge(
    'stage.lag',
    's',
    'Commit upstream until the output of a stage, last measured',
    perStage(stage => (stage.lagMs === null ? null : stage.lagMs / 1000)),
  ),
];
