import type {DaemonInspection} from './inspection.ts';

/** An inspection as a Mermaid flowchart: stages with what went through, graphs with their rows. */
export const renderMermaid = ({replicator, workers}: DaemonInspection): string => {
  const lines = ['flowchart LR'];
  const chainOf = (prefix: string, stages: readonly {name: string; itemsIn: number}[]) => {
    const last = new Map<string, string>();
    for (const {name, itemsIn} of stages) {
      const chain = name.slice(0, name.indexOf('.'));
      const id = `${prefix}_${name.replaceAll(/\W/g, '_')}`;
      lines.push(`  ${id}["${name}<br/>${itemsIn}"]`);
      const previous = last.get(chain);
      if (previous) lines.push(`  ${previous} --> ${id}`);
      last.set(chain, id);
    }
  };
  if (replicator) chainOf('r', replicator.stages);
  for (const worker of workers) {
    chainOf(`w${worker.index}`, worker.stages);
    for (const graph of worker.graphs)
      lines.push(
        `  w${worker.index}_${graph.id}(["${graph.id}<br/>${graph.rows} rows, ${graph.subscribers} subscribers"])`,
      );
  }
  return lines.join('\n');
};
