import type {GraphDiff, PresentRow, QueryGraph} from '../ivm/registry.ts';
import type {RowId} from '../ivm/row-id.ts';
import {RowSet} from './row-set.ts';

/** Which graph answers which query, by query hash. */
export type GraphMap = ReadonlyMap<string, QueryGraph>;

/** How one epoch touched a row of a view. */
export interface TouchedRow {
  /** Was it present before? */
  readonly was: boolean;
  /** Its contents changed while it stayed. */
  readonly edited: boolean;
  /** For who has it pending already: if it is present, clients must get it again. */
  readonly again: boolean;
}

/** What one epoch, or the step to a full view, changed in a view: shared by its groups until each has folded it. */
export class Touch {
  readonly rows: ReadonlyMap<RowId, TouchedRow>;
  readonly #view: View;
  #set: RowSet | null = null;

  constructor(view: View, rows: ReadonlyMap<RowId, TouchedRow>) {
    this.#view = view;
    this.rows = rows;
  }

  /** Must be called before the next epoch that touches the view. */
  fold(): RowSet {
    this.#set ??= this.#view.fold(this.rows);
    return this.#set;
  }
}

/**
 * What a client group sees: the union of the graphs of its queries. One view serves all groups with the same queries, so
 * that whatever is computed of an epoch is computed once (views.md §9.2).
 */
export class View {
  readonly graphs: GraphMap;
  readonly #distinct: readonly QueryGraph[];
  /** `"<query>":1,…` of the queries that a graph answers. */
  readonly #counts = new Map<QueryGraph, string>();
  /** The references of every row where there is one graph; null: it depends on the row. */
  readonly #alone: string | null;
  #whole: WeakRef<RowSet> | null = null;

  constructor(graphs: GraphMap) {
    this.graphs = graphs;
    for (const [hash, graph] of graphs) {
      const known = this.#counts.get(graph);
      const own = `${JSON.stringify(hash)}:1`;
      this.#counts.set(graph, known ? `${known},${own}` : own);
    }
    this.#distinct = [...this.#counts.keys()];
    this.#alone = this.#distinct.length === 1 ? `{${[...this.#counts.values()][0]}}` : null;
  }

  get(id: RowId): PresentRow | undefined {
    for (const graph of this.#distinct) {
      const row = graph.get(id);
      if (row) return row;
    }
    return undefined;
  }

  has(id: RowId): boolean {
    return this.#distinct.some(graph => graph.has(id));
  }

  /** Every row, each once. */
  *rows(): Generator<PresentRow> {
    if (this.#distinct.length === 1) return yield* this.#distinct[0]!.rows();
    const seen = new Set<RowId>();
    for (const graph of this.#distinct)
      for (const row of graph.rows())
        if (!seen.has(row.id)) {
          seen.add(row.id);
          yield row;
        }
  }

  /** True if no query yields a row. */
  get empty(): boolean {
    return this.#distinct.every(({size}) => size === 0);
  }

  /** As in `rows.refCounts`; a graph holds a row once, however often its query yields it. */
  references(id: RowId): string {
    if (this.#alone) return this.#alone;
    let text = '{';
    for (const [graph, counts] of this.#counts)
      if (graph.has(id)) text += text.length > 1 ? `,${counts}` : counts;
    return `${text}}`;
  }

  /** Takes in the diffs of one epoch, those of its own graphs. Every graph is at the end of the epoch. */
  touch(diffs: readonly GraphDiff[]): Touch {
    this.#whole = null;
    const moves = new Map<RowId, {added: number; removed: number; edited: boolean}>();
    for (const {changes} of diffs)
      for (const change of changes) {
        const id = change.op === 'remove' ? change.id : change.row.id;
        let move = moves.get(id);
        if (!move) moves.set(id, (move = {added: 0, removed: 0, edited: false}));
        if (change.op === 'add') move.added++;
        else if (change.op === 'remove') move.removed++;
        else move.edited = true;
      }
    const rows = new Map<RowId, TouchedRow>();
    for (const [id, {added, removed, edited}] of moves) {
      // Changing places between two graphs, a row may have changed its contents on the way.
      const changed = edited || (added > 0 && removed > 0);
      const was = removed > 0 || this.#holders(id) > added;
      rows.set(id, {was, edited: changed, again: changed || added > 0});
    }
    return new Touch(this, rows);
  }

  /** The net difference between what was and what is, at the version the graphs are at now. */
  fold(rows: Iterable<readonly [RowId, {readonly was: boolean; readonly edited: boolean}]>): RowSet {
    const puts: PresentRow[] = [];
    const dels: RowId[] = [];
    const references: RowId[] = [];
    for (const [id, {was, edited}] of rows) {
      const row = this.get(id);
      if (row && (!was || edited)) puts.push(row);
      else if (row) references.push(id);
      else if (was) dels.push(id);
    }
    return new RowSet({puts, dels, references}, id => this.references(id));
  }

  /** All of it, for who holds nothing. */
  whole(): RowSet {
    let set = this.#whole?.deref();
    if (!set) {
      set = new RowSet({puts: this.#all(), dels: [], references: []}, id => this.references(id));
      this.#whole = new WeakRef(set);
    }
    return set;
  }

  #all(): readonly PresentRow[] {
    return this.#distinct.length === 1 ? this.#distinct[0]!.rows() : [...this.rows()];
  }

  #holders(id: RowId): number {
    let holders = 0;
    for (const graph of this.#distinct) if (graph.has(id)) holders++;
    return holders;
  }
}
