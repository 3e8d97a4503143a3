import type {StageStats} from '../flow/stage.ts';
import type {DaemonInspection, WorkerInspection} from './inspection.ts';

const MB = 1024 * 1024;

/** An inspection for a terminal. With the one before, counts become rates per second. */
export const renderText = (
  now: DaemonInspection,
  before: DaemonInspection | null,
  options: {readonly sql: boolean},
): string => {
  const seconds = before ? Math.max((now.atMs - before.atMs) / 1000, 0.001) : 0;
  const lines = [
    `zerostream ${now.serverVersion} · task ${now.taskID} · up ${duration(now.atMs - now.startedAtMs)}`,
    now.processes
      .map(
        p => `${p.name} (${p.pid}) ${(p.rssBytes / MB).toFixed(0)} MB ${(p.cpuMs / 1000).toFixed(1)} s cpu`,
      )
      .join(' · '),
    '',
  ];
  const {replicator} = now;
  if (replicator) {
    lines.push(
      `replicator: ${replicator.state} · replica ${(replicator.replicaBytes / MB).toFixed(1)} MB + WAL ${(replicator.walBytes / MB).toFixed(1)} MB`,
      `  applied ${replicator.appliedVersion ?? '–'} · acknowledged ${replicator.ackedLsn ?? '–'} · slot ${replicator.slot?.name ?? '–'} · lag ${replicator.lagMs === null ? '–' : `${replicator.lagMs.toFixed(0)} ms`}`,
      ...stageLines(replicator.stages, before?.replicator?.stages, seconds),
      ...replicator.recoveries.map(r => `  rebuilt ${new Date(r.atMs).toISOString()} ${r.code}: ${r.reason}`),
      '',
    );
  }
  for (const worker of now.workers)
    lines.push(
      `sync worker ${worker.index}: version ${worker.version ?? '–'} · ${worker.groups.length} client groups · ${worker.graphs.length} query graphs`,
      ...stageLines(worker.stages, before?.workers.find(w => w.index === worker.index)?.stages, seconds),
      ...graphLines(worker, options.sql),
      ...groupLines(worker),
      '',
    );
  return lines.join('\n');
};

const stageLines = (
  stages: readonly StageStats[],
  before: readonly StageStats[] | undefined,
  seconds: number,
): string[] => {
  const width = Math.max(0, ...stages.map(stage => stage.name.length));
  return stages.map(stage => {
    const old = before?.find(s => s.name === stage.name);
    const flow = old
      ? `${((stage.itemsIn - old.itemsIn) / seconds).toFixed(0)}/s in ${((stage.itemsOut - old.itemsOut) / seconds).toFixed(0)}/s out`
      : `${stage.itemsIn} in ${stage.itemsOut} out`;
    const bytes = stage.bytesIn ? ` · ${(stage.bytesIn / MB).toFixed(2)} MB` : '';
    return `  ${stage.running ? '▶' : '·'} ${stage.name.padEnd(width)}  ${flow}${bytes} · busy ${stage.busyMs.toFixed(0)} ms${held(stage)}`;
  });
};

/** Synchronous stages hold nothing. */
const held = (stage: StageStats): string =>
  stage.inFlight === null
    ? ''
    : ` · waited ${Math.max(0, stage.occupiedMs - stage.busyMs).toFixed(0)} ms · in flight ${stage.inFlight}${stage.bytesInFlight ? ` (${stage.bytesInFlight} B)` : ''}`;

const graphLines = (worker: WorkerInspection, sql: boolean): string[] =>
  worker.graphs.flatMap(graph => [
    `  ${graph.id}: ${graph.rows} rows · ${graph.subscribers} subscribers · hydrated in ${graph.hydrationMs.toFixed(1)} ms · ${graph.advances} steps ${graph.advanceMs.toFixed(1)} ms · ${graph.changesOut} changes out`,
    ...graph.operators.flatMap(operator => [
      `    ${'  '.repeat(operator.depth)}${operator.operator} (${operator.rows} rows, ${operator.keys} keys)`,
      ...(sql && operator.sql
        ? [`    ${'  '.repeat(operator.depth)}  ${operator.sql.replaceAll(/\s+/g, ' ')}`]
        : []),
    ]),
  ]);

const groupLines = (worker: WorkerInspection): string[] =>
  worker.groups.map(
    group =>
      `  group ${group.clientGroupID}: at ${group.cvrVersion} · ${group.clients.length} clients · ${group.queries.length} queries · ${group.pendingRows} rows pending · ${group.clients.reduce((n, c) => n + c.bufferedBytes, 0)} B unsent`,
  );

const duration = (ms: number): string => {
  const seconds = Math.floor(ms / 1000);
  return seconds < 120
    ? `${seconds} s`
    : seconds < 7200
      ? `${Math.floor(seconds / 60)} min`
      : `${Math.floor(seconds / 3600)} h`;
};
