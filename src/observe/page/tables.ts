import type {DaemonInspection, GraphInspection} from '../inspection.ts';
import {queryLine} from '../query-line.ts';
import {costliestFirst, MOST_SHOWN, mostBehindFirst, unsentBytes} from '../ranking.ts';
import {bytesText, counted, countText, durationText, percentText} from '../units.ts';
import {h} from './dom.ts';
import {operatorsPicture} from './operators.ts';

/** One line per graph, the costliest first; open, it shows its operators as a tree. */
export const graphsView = (
  {workers}: DaemonInspection,
  open: ReadonlySet<string>,
  toggle: Toggle,
): HTMLElement[] => {
  const all = costliestFirst(
    workers.flatMap(({index, graphs}) => graphs.map(graph => ({key: `${index}/${graph.id}`, graph}))),
  );
  if (all.length === 0) return [h('p', {class: 'hint'}, 'No client has asked for a query yet.')];
  return [
    ...all.slice(0, MOST_SHOWN).map(({key, graph}) =>
      h(
        'details',
        {
          class: graph.subscribers ? 'graph' : 'graph lone',
          open: open.has(key),
          toggle: event => toggle(key, (event.currentTarget as HTMLDetailsElement).open),
        },
        h(
          'summary',
          {'data-key': key},
          h('b', {}, graph.id),
          h('code', {title: queryLine(graph.ast)}, queryLine(graph.ast)),
          h('span', {}, counted(graph.rows, 'row')),
          h('span', {}, counted(graph.subscribers, 'subscriber')),
          h('span', {}, `hydrated in ${durationText(graph.hydrationMs)}`),
          h(
            'span',
            {},
            `${counted(graph.advances, 'step')}${graph.advances ? `, ${durationText(graph.advanceMs / graph.advances)} each` : ''}`,
          ),
        ),
        ...(open.has(key) ? graphParts(key, graph, open, toggle) : []),
      ),
    ),
    ...(all.length > MOST_SHOWN
      ? [h('p', {class: 'hint'}, `${counted(all.length - MOST_SHOWN, 'cheaper graph')} not shown.`)]
      : []),
  ];
};

type Toggle = (key: string, isOpen: boolean) => void;

const graphParts = (
  key: string,
  graph: GraphInspection,
  open: ReadonlySet<string>,
  toggle: Toggle,
): HTMLElement[] => [
  h('div', {class: 'scroll', tabindex: '0'}, operatorsPicture(graph.operators)),
  ...graph.missingIndexes.map(statement => h('p', {class: 'hint'}, `Missing upstream: ${statement};`)),
  foldable(`${key}/sql`, 'SQL and plans', open, toggle, sqlList(graph)),
  foldable(`${key}/ast`, 'AST', open, toggle, h('pre', {class: 'ast'}, JSON.stringify(graph.ast, null, 1))),
];

/** A part that can be opened; `open` remembers it over the next inspections. */
const foldable = (
  key: string,
  title: string,
  open: ReadonlySet<string>,
  toggle: Toggle,
  ...children: HTMLElement[]
): HTMLElement =>
  h(
    'details',
    {
      class: 'inner',
      open: open.has(key),
      toggle: event => toggle(key, (event.currentTarget as HTMLDetailsElement).open),
    },
    h('summary', {'data-key': key}, title),
    ...children,
  );

const sqlList = (graph: GraphInspection): HTMLElement =>
  h(
    'ol',
    {class: 'tree'},
    ...graph.operators
      .filter(({sql}) => sql)
      .map(operator =>
        h(
          'li',
          {style: `--depth:${operator.depth}`},
          h('b', {}, operator.operator),
          h('pre', {}, operator.sql),
          operator.plan !== null && h('pre', {class: 'plan'}, operator.plan.join('\n')),
        ),
      ),
  );

export const groupsView = ({workers}: DaemonInspection): HTMLElement[] => {
  const groups = mostBehindFirst(workers.flatMap(worker => worker.groups));
  if (groups.length === 0) return [h('p', {class: 'hint'}, 'No client is connected.')];
  return [
    table(
      ['group', 'cookie', 'served', 'user', 'clients', 'queries', 'pending rows', 'unsent'],
      groups
        .slice(0, MOST_SHOWN)
        .map(group => [
          group.clientGroupID,
          group.cvrVersion,
          group.servedVersion,
          group.userID ?? '–',
          countText(group.clients.length),
          `${group.queries.filter(query => query.got).length} of ${group.queries.length} got`,
          countText(group.pendingRows),
          bytesText(unsentBytes(group)),
        ]),
    ),
    ...(groups.length > MOST_SHOWN
      ? [h('p', {class: 'hint'}, `${counted(groups.length - MOST_SHOWN, 'more group')} not shown.`)]
      : []),
  ];
};

export const resetsView = ({replicator}: DaemonInspection): HTMLElement[] =>
  replicator?.recoveries.length
    ? [
        table(
          ['when', 'code', 'reason'],
          replicator.recoveries
            .toReversed()
            .map(({atMs, code, reason}) => [new Date(atMs).toLocaleString(), code, reason]),
        ),
      ]
    : [h('p', {class: 'hint'}, 'The replica was not rebuilt since the start.')];

export const processesView = (now: DaemonInspection, before: DaemonInspection | null): HTMLElement[] => [
  table(
    ['process', 'pid', 'memory', 'CPU now', 'CPU in all'],
    now.processes.map(({name, pid, rssBytes, cpuMs}) => {
      const old = before?.processes.find(process => process.pid === pid);
      const share = old ? (cpuMs - old.cpuMs) / Math.max(1, now.atMs - (before?.atMs ?? 0)) : null;
      return [
        name,
        String(pid),
        bytesText(rssBytes),
        share === null ? '–' : percentText(Math.max(0, share)),
        durationText(cpuMs),
      ];
    }),
  ),
];

export const table = (heads: readonly string[], rows: readonly (readonly string[])[]): HTMLElement =>
  h(
    'div',
    {class: 'scroll', tabindex: '0'},
    h(
      'table',
      {},
      h('thead', {}, h('tr', {}, ...heads.map(head => h('th', {scope: 'col'}, head)))),
      h('tbody', {}, ...rows.map(row => h('tr', {}, ...row.map(cell => h('td', {}, cell))))),
    ),
  );
