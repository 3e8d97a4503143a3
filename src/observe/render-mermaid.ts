import {type DaemonInspection, isLive} from './inspection.ts';
import {byPlace, CHAINS, chainOf, FOLLOWERS, STORES, type StoreName, WIRES} from './topology.ts';
import {counted, countText, durationText} from './units.ts';

interface Process {
  readonly id: string;
  readonly title: string;
  /** `label` is what stands in the box. */
  readonly stages: readonly {readonly name: string; readonly label: string}[];
  readonly graphs: readonly string[];
}

/**
 * A running server as a Mermaid flowchart: its processes, the stages in them, and how all of it hangs together. With counts,
 * each stage says how many items it has taken in, and each query graph how many rows it holds for how many subscribers.
 */
export const renderMermaid = (
  {replicator, workers}: DaemonInspection,
  {counts}: {readonly counts: boolean},
): string => {
  const stagesOf = (stages: readonly {readonly name: string; readonly itemsIn: number}[]) =>
    byPlace(stages).map(({name, itemsIn}) => ({
      name,
      label: counts ? `${labelOf(name)}<br/>${countText(itemsIn)}` : labelOf(name),
    }));
  const followers = (replicator?.subscribers ?? []).map(subscriber => {
    const {taskID, lagMs} = subscriber;
    const name = `node ${taskID.replaceAll(/[^\w.:-]/g, '_')}`;
    const lag = lagMs === null ? '' : `, lag ${durationText(lagMs)}`;
    return counts ? `${name}<br/>${isLive(subscriber, replicator!) ? 'live' : 'catching up'}${lag}` : name;
  });
  const processes = [
    ...(replicator ? [{id: 'r', title: 'replicator', stages: stagesOf(replicator.stages), graphs: []}] : []),
    ...workers.map(({index, stages, graphs}) => ({
      id: `w${index}`,
      title: `sync worker ${index}`,
      stages: stagesOf(stages),
      graphs: counts
        ? graphs.map(
            ({id, ast, rows, subscribers}) =>
              `${id}(["${id} ${ast.table}<br/>${counted(rows, 'row')}, ${counted(subscribers, 'subscriber')}"])`,
          )
        : [],
    })),
  ];
  return flowchart(processes, followers);
};

/** The picture of a server that has just been started with nothing but a database: the one of the README. */
export const mermaidOfAll = (): string =>
  flowchart(
    (['replicator', 'sync-worker'] as const).map(process => ({
      id: process === 'replicator' ? 'r' : 'w0',
      title: process === 'replicator' ? 'replicator' : 'sync worker 0',
      stages: CHAINS.filter(chain => chain.process === process && !chain.optional).flatMap(({name, stages}) =>
        stages.map(label => ({name: `${name}.${label}`, label})),
      ),
      graphs: [],
    })),
    [],
  );

const labelOf = (stage: string): string => stage.slice(stage.indexOf('.') + 1);

const flowchart = (processes: readonly Process[], followers: readonly string[]): string => {
  const lines = ['flowchart LR'];
  const placed = new Map<string, {process: string; id: string}[]>();
  for (const {id: process, title, stages, graphs} of processes) {
    lines.push(`  subgraph ${process} ["${title}"]`);
    const rows = new Map<string, string[]>();
    for (const {name, label} of stages) {
      const id = `${process}_${name.replaceAll(/\W/g, '_')}`;
      const chain = chainOf(name);
      placed.set(name, [...(placed.get(name) ?? []), {process, id}]);
      rows.set(chain, [...(rows.get(chain) ?? []), `${id}["${label}"]`]);
    }
    for (const [chain, row] of rows) lines.push(`    ${row.join(APART.has(chain) ? '\n    ' : ' --> ')}`);
    lines.push(...graphs.map(graph => `    ${process}_${graph}`), '  end');
  }
  const used = new Set<string>();
  const ends = (end: string): readonly {readonly process: string | null; readonly id: string}[] => {
    if (end === FOLLOWERS) return followers.map((_, i) => ({process: null, id: `follower_${i}`}));
    return end in STORES ? [{process: null, id: storeId(end)}] : (placed.get(end) ?? []);
  };
  const wires = WIRES.flatMap(({from, to, what}) =>
    ends(from).flatMap(a =>
      ends(to)
        // Workers do not talk to each other.
        .filter(b => a.process === b.process || !isWorker(a.process) || !isWorker(b.process))
        .map(b => {
          for (const end of [from, to]) if (end in STORES) used.add(end);
          return what ? `  ${a.id} -- ${what} --> ${b.id}` : `  ${a.id} --> ${b.id}`;
        }),
    ),
  );
  for (const store of Object.keys(STORES) as StoreName[])
    if (used.has(store)) lines.push(`  ${storeId(store)}[("${STORES[store]}")]`);
  lines.push(...followers.map((label, i) => `  follower_${i}[["${label}"]]`));
  return [...lines, ...wires].join('\n');
};

const isWorker = (process: string | null): boolean => process?.startsWith('w') === true;

const APART = new Set(CHAINS.filter(({apart}) => apart).map(({name}) => name));

const storeId = (store: string): string => store.replaceAll('-', '_');
