import {lanesOf, type StageFlow} from './flow.ts';
import {
  type DaemonInspection,
  faultsOf,
  type GraphInspection,
  isLive,
  pastFaultsOf,
  type ReplicatorInspection,
  type WorkerInspection,
} from './inspection.ts';
import {queryLine} from './query-line.ts';
import {costliestFirst, MOST_SHOWN, mostBehindFirst, unsentBytes} from './ranking.ts';
import {bytesText, counted, countText, durationText, percentText} from './units.ts';

/** An inspection for a terminal. With the one before, counts become rates per second. */
export const renderText = (
  now: DaemonInspection,
  before: DaemonInspection | null,
  options: {readonly sql: boolean},
): string => {
  const lines = [
    `zerostream ${now.serverVersion} · task ${now.taskID} · up ${durationText(now.atMs - now.startedAtMs)}`,
    now.processes
      .map(p => `${p.name} (${p.pid}) ${bytesText(p.rssBytes)}, ${durationText(p.cpuMs)} CPU`)
      .join(' · '),
  ];
  lines.push(...faultLines(now));
  for (const {process, chains} of lanesOf(now, before)) {
    const worker = now.workers.find(({index}) => process === `sync-worker-${index}`);
    lines.push(
      '',
      ...(worker ? workerHead(worker) : now.replicator ? replicatorHead(now.replicator, now.atMs) : []),
    );
    const flows = chains.flatMap(({stages}) => stages);
    const width = Math.max(0, ...flows.map(({name}) => name.length));
    lines.push(...flows.map(flow => stageLine(flow, width, before !== null)));
    if (worker) lines.push(...graphLines(worker, options.sql), ...groupLines(worker));
  }
  return lines.join('\n');
};

/** What is wrong now stands before everything else; what is over, in short. */
const faultLines = (now: DaemonInspection): string[] => {
  const faults = faultsOf(now);
  const standing = faults.flatMap(({severity, code, what, remedy, sinceMs}) => [
    `  ${severity === 'fault' ? '✖' : '!'} ${code} for ${durationText(Math.max(0, now.atMs - sinceMs))}: ${what}`,
    `    → ${remedy}`,
  ]);
  const past = pastFaultsOf(now)
    .slice(-SHOWN_PAST)
    .map(
      ({code, what, sinceMs, untilMs}) =>
        `  ✓ over since ${durationText(Math.max(0, now.atMs - untilMs))}, after ${durationText(untilMs - sinceMs)}: ${code} ${what}`,
    );
  const title = faults.some(({severity}) => severity === 'fault')
    ? 'FAULTS'
    : faults.length
      ? 'WARNINGS'
      : 'no faults';
  return standing.length + past.length ? ['', title, ...standing, ...past] : [];
};

const SHOWN_PAST = 5;

const replicatorHead = (replicator: ReplicatorInspection, atMs: number): string[] => {
  const {slot} = replicator;
  const age =
    replicator.lagMeasuredAtMs === null
      ? ''
      : `, measured ${durationText(atMs - replicator.lagMeasuredAtMs)} ago`;
  return [
    `replicator: ${replicator.state} · replica ${bytesText(replicator.replicaBytes)} + ${bytesText(replicator.walBytes)} WAL`,
    `  applied ${replicator.appliedVersion ?? '–'} · ${replicator.follows ? '' : `logged ${replicator.loggedVersion ?? '–'} · acknowledged ${replicator.ackedLsn ?? '–'} · `}lag ${replicator.lagMs === null ? '–' : durationText(replicator.lagMs)}${age}`,
    ...(slot
      ? [
          `  slot ${slot.name} · WAL ${slot.walStatus ?? 'none'}${slot.retainedBytes === null ? '' : `, ${bytesText(slot.retainedBytes)} kept upstream`}, looked at ${durationText(Math.max(0, atMs - slot.checkedAtMs))} ago`,
        ]
      : []),
    ...(replicator.follows
      ? [
          `  follows ${replicator.follows.uri} for ${durationText(Math.max(0, atMs - replicator.follows.sinceMs))}`,
        ]
      : []),
    ...replicator.subscribers.map(subscriber => {
      const {taskID, address, consumedVersion, sentVersion, sentBytes, bytesInFlight, lagMs} = subscriber;
      const state = isLive(subscriber, replicator) ? 'live' : 'reading the change log';
      return `  followed by ${taskID} (${address}) · ${state} · sent ${sentVersion}, ${bytesText(sentBytes)} · holds ${consumedVersion} · ${bytesText(bytesInFlight)} on the way · lag ${lagMs === null ? '–' : durationText(lagMs)}`;
    }),
    ...(replicator.reading.length
      ? [`  reading rows of ${replicator.reading.join(', ')} beside the stream`]
      : []),
    ...replicator.recoveries.map(r => `  rebuilt ${new Date(r.atMs).toISOString()} ${r.code}: ${r.reason}`),
  ];
};

const workerHead = (worker: WorkerInspection): string[] => [
  `sync worker ${worker.index}: at ${worker.version ?? '–'} · ${counted(worker.groups.length, 'client group')} · ${counted(worker.graphs.length, 'query graph')}`,
];

const stageLine = (flow: StageFlow, width: number, rates: boolean): string => {
  const passed = rates
    ? `${countText(flow.inPerSecond)}/s in ${countText(flow.outPerSecond)}/s out`
    : `${flow.itemsIn} in ${flow.itemsOut} out`;
  const parts = [
    passed,
    flow.bytesIn > 0 && (rates ? `${bytesText(flow.bytesPerSecond)}/s` : bytesText(flow.bytesIn)),
    rates ? `busy ${percentText(flow.busy)}` : `busy ${durationText(flow.busyMs)}`,
    // Synchronous stages hold nothing and never wait.
    flow.inFlight !== null &&
      `${rates ? `waiting ${percentText(flow.waiting)}` : `waited ${durationText(Math.max(0, flow.occupiedMs - flow.busyMs))}`}${flow.inFlight ? `, ${countText(flow.inFlight)} in flight (${bytesText(flow.bytesInFlight ?? 0)})` : ''}`,
    flow.lagMs !== null &&
      `lag ${durationText(flow.lagMs)}, measured ${durationText(flow.lagAgeMs ?? 0)} ago`,
  ];
  return `  ${flow.running ? '▶' : '·'} ${flow.name.padEnd(width)}  ${parts.filter(Boolean).join(' · ')}`;
};

const graphLines = ({graphs}: WorkerInspection, sql: boolean): string[] => [
  ...costliestFirst(graphs.map(graph => ({graph})))
    .slice(0, MOST_SHOWN)
    .flatMap(({graph}) => [
      `  ${graph.id} ${queryLine(graph.ast)}: ${[
        counted(graph.rows, 'row'),
        counted(graph.subscribers, 'subscriber'),
        `hydrated in ${durationText(graph.hydrationMs)}`,
        ...(graph.advances
          ? [
              `${counted(graph.advances, 'step')} in ${durationText(graph.advanceMs)}`,
              `${counted(graph.changesOut, 'change')} out`,
            ]
          : []),
      ].join(' · ')}`,
      ...graph.operators.flatMap(operator => operatorLines(operator, sql)),
      ...graph.missingIndexes.map(statement => `    missing upstream: ${statement};`),
    ]),
  ...leftOut(graphs.length, 'cheaper query graph'),
];

const operatorLines = (
  {depth, operator, rows, keys, sharedBy, sql, plan}: GraphInspection['operators'][number],
  withSql: boolean,
): string[] => {
  const indent = `    ${'  '.repeat(depth)}`;
  const shared = sharedBy > 1 ? `, shared by ${sharedBy} places` : '';
  return [
    `${indent}${operator} (${counted(rows, 'row')}${keys > 1 ? ` by ${countText(keys)} keys` : ''}${shared})`,
    ...(withSql && sql ? [`${indent}  ${sql.replaceAll(/\s+/g, ' ')}`] : []),
    ...((withSql && plan) || []).map(line => `${indent}    ${line}`),
  ];
};

const groupLines = ({groups}: WorkerInspection): string[] => [
  ...mostBehindFirst(groups)
    .slice(0, MOST_SHOWN)
    .map(
      group =>
        `  group ${group.clientGroupID}: at ${group.cvrVersion} · ${counted(group.clients.length, 'client')} · ${counted(group.queries.length, 'query', 'queries')} · ${counted(group.pendingRows, 'row')} pending · ${bytesText(unsentBytes(group))} unsent`,
    ),
  ...leftOut(groups.length, 'more client group'),
];

const leftOut = (count: number, what: string): string[] =>
  count > MOST_SHOWN ? [`  ${counted(count - MOST_SHOWN, what)} not shown; --json has all`] : [];
