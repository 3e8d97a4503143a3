import type {GraphDiff, QueryGraph} from '../ivm/registry.ts';
import {type GraphMap, type Touch, View} from './view.ts';

/** Who looks at a view. */
export interface Viewer {
  /** An epoch touched the view; called synchronously, while every graph is at its end. */
  touched(touch: Touch): void;
}

interface Watched {
  readonly key: string;
  readonly view: View;
  readonly viewers: Set<Viewer>;
}

/** The views of a worker, each shared by all who look at the same graphs under the same query hashes. */
export class Views {
  readonly #byKey = new Map<string, Watched>();
  readonly #byView = new Map<View, Watched>();
  readonly #byGraph = new Map<QueryGraph, Set<Watched>>();

  join(graphs: GraphMap, viewer: Viewer): View {
    const key = keyOf(graphs);
    let watched = this.#byKey.get(key);
    if (!watched) {
      watched = {key, view: new View(graphs), viewers: new Set()};
      this.#byKey.set(key, watched);
      this.#byView.set(watched.view, watched);
      for (const graph of graphs.values()) {
        const watching = this.#byGraph.get(graph);
        if (watching) watching.add(watched);
        else this.#byGraph.set(graph, new Set([watched]));
      }
    }
    watched.viewers.add(viewer);
    return watched.view;
  }

  leave(view: View, viewer: Viewer): void {
    const watched = this.#byView.get(view);
    if (!watched?.viewers.delete(viewer) || watched.viewers.size > 0) return;
    this.#byKey.delete(watched.key);
    this.#byView.delete(view);
    for (const graph of view.graphs.values()) {
      const watching = this.#byGraph.get(graph);
      watching?.delete(watched);
      if (watching?.size === 0) this.#byGraph.delete(graph);
    }
  }

  /** Tells the viewers of changed graphs, and nobody else. */
  deliver(diffs: readonly GraphDiff[]): void {
    const concerned = new Map<Watched, GraphDiff[]>();
    for (const diff of diffs)
      for (const watched of this.#byGraph.get(diff.graph) ?? []) {
        const own = concerned.get(watched);
        if (own) own.push(diff);
        else concerned.set(watched, [diff]);
      }
    for (const [{view, viewers}, own] of concerned) {
      const touch = view.touch(own);
      for (const viewer of viewers) viewer.touched(touch);
    }
  }
}

const keyOf = (graphs: GraphMap): string =>
  [...graphs]
    .map(([hash, {id}]) => `${hash}\0${id}`)
    .sort()
    .join('\n');
