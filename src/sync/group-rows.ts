import type {RowWrite} from '../cvr/types.ts';
import type {GraphDiff, PresentRow, QueryGraph} from '../ivm/registry.ts';
import type {RowId} from '../ivm/row-id.ts';
import type {Version} from '../pg/lsn.ts';

interface PendingRow {
  /** Was it part of the view when it was first touched since the last fold? */
  readonly was: boolean;
  edited: boolean;
}

export interface FoldedRows {
  readonly puts: readonly PresentRow[];
  readonly dels: readonly RowId[];
  /** Rows that only gained or lost a query. */
  readonly references: readonly RowId[];
}

/**
 * Which rows a client group sees: the union of its graphs. Between two folds only the touched rows are remembered, each
 * once, so that any number of versions coalesces (views.md §9.2).
 */
export class GroupRows {
  readonly #graphs = new Map<string, QueryGraph>();
  #pending = new Map<RowId, PendingRow>();
  /** False until the base is known: what clients hold according to the stored view record. */
  #based = false;

  graphOf(hash: string): QueryGraph | undefined {
    return this.#graphs.get(hash);
  }

  get queries(): ReadonlyMap<string, QueryGraph> {
    return this.#graphs;
  }

  get pendingRows(): number {
    return this.#pending.size;
  }

  get based(): boolean {
    return this.#based;
  }

  /** From here on the view is what `stored` says; differences to the graphs are pending. */
  rebase(stored: ReadonlyMap<RowId, Version>): void {
    this.#based = true;
    this.#pending = new Map();
    for (const [id, rowVersion] of stored) {
      const row = this.get(id);
      if (row?.rowVersion !== rowVersion) this.#pending.set(id, {was: true, edited: true});
    }
    for (const graph of new Set(this.#graphs.values()))
      for (const {id} of graph.rows())
        if (!stored.has(id)) this.#pending.set(id, {was: false, edited: false});
  }

  /** Sets, replaces or removes the graph of a query. @returns the one it had. */
  assign(hash: string, graph: QueryGraph | null): QueryGraph | undefined {
    const old = this.#graphs.get(hash);
    if (old === graph) return old;
    if (this.#based)
      for (const part of [old, graph])
        for (const {id} of part?.rows() ?? [])
          if (!this.#pending.has(id)) this.#pending.set(id, {was: this.#visible(id), edited: false});
    if (graph) this.#graphs.set(hash, graph);
    else this.#graphs.delete(hash);
    return old;
  }

  /** Takes in the diffs of one epoch, those of its own graphs. */
  touch(diffs: readonly GraphDiff[]): void {
    if (!this.#based) return;
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
    for (const [id, {added, removed, edited}] of moves) {
      // Changing places between two graphs, a row may have changed its contents on the way.
      const changed = edited || (added > 0 && removed > 0);
      const known = this.#pending.get(id);
      if (known) known.edited ||= changed || added > 0;
      else this.#pending.set(id, {was: removed > 0 || this.#holders(id) > added, edited: changed});
    }
  }

  /** The net difference since the last fold; empties it, but for references while nothing else would be written. */
  fold(): FoldedRows {
    const puts: PresentRow[] = [];
    const dels: RowId[] = [];
    const references: RowId[] = [];
    for (const [id, {was, edited}] of this.#pending) {
      const row = this.get(id);
      if (row && (!was || edited)) puts.push(row);
      else if (row) references.push(id);
      else if (was) dels.push(id);
    }
    return {puts, dels, references};
  }

  /** The fold is being written: what comes from now on counts from there. */
  clear(): void {
    this.#pending = new Map();
  }

  get(id: RowId): PresentRow | undefined {
    for (const graph of this.#graphs.values()) {
      const row = graph.get(id);
      if (row) return row;
    }
    return undefined;
  }

  /** Every row of the view. */
  *all(): Generator<PresentRow> {
    const seen = new Set<RowId>();
    for (const graph of new Set(this.#graphs.values()))
      for (const row of graph.rows())
        if (!seen.has(row.id)) {
          seen.add(row.id);
          yield row;
        }
  }

  writes({puts, dels, references}: FoldedRows): RowWrite[] {
    return [
      ...puts.map(row => ({id: row.id, rowVersion: row.rowVersion, refCounts: this.#references(row.id)})),
      ...dels.map(id => ({id, rowVersion: null, refCounts: null})),
      ...references.map(id => ({id, rowVersion: null, refCounts: this.#references(id)})),
    ];
  }

  /** As in `rows.refCounts`; a graph holds a row once, however often its query yields it. */
  #references(id: RowId): string {
    const counts: Record<string, number> = {};
    for (const [hash, graph] of this.#graphs) if (graph.has(id)) counts[hash] = 1;
    return JSON.stringify(counts);
  }

  #visible(id: RowId): boolean {
    for (const graph of this.#graphs.values()) if (graph.has(id)) return true;
    return false;
  }

  #holders(id: RowId): number {
    let holders = 0;
    for (const graph of new Set(this.#graphs.values())) if (graph.has(id)) holders++;
    return holders;
  }
}
