import type {PresentRow, QueryGraph} from '../ivm/registry.ts';
import {type RowId, tableOfRowId} from '../ivm/row-id.ts';
import type {Version} from '../pg/lsn.ts';
import {isInternal} from './internal-queries.ts';
import type {RowSet} from './row-set.ts';
import type {GraphMap} from './view.ts';
import {ViewChanges} from './view-changes.ts';
import type {Views} from './views.ts';

/**
 * Which rows a client group sees, in two layers: what its queries yield, shared with every group of the same queries, and
 * its mutation ids and results, its own. Between two folds only touched rows are remembered, each once, so that any
 * number of versions coalesces (views.md §9.2).
 */
export class GroupRows {
  readonly #shared: ViewChanges;
  readonly #internal: ViewChanges;
  readonly #internalTables: ReadonlySet<string>;
  #graphs: GraphMap = new Map();
  #based = false;

  /** @param onTouch called when an epoch has changed something in the group's view. */
  constructor(views: Views, shard: string, onTouch: () => void) {
    this.#shared = new ViewChanges(views, onTouch);
    this.#internal = new ViewChanges(views, onTouch);
    this.#internalTables = new Set([`${shard}.clients`, `${shard}.mutations`]);
  }

  /** By query hash. */
  get graphs(): GraphMap {
    return this.#graphs;
  }

  get pendingRows(): number {
    return this.#shared.size + this.#internal.size;
  }

  /** False until it is known what clients hold. */
  get based(): boolean {
    return this.#based;
  }

  look(graphs: GraphMap): void {
    this.#graphs = graphs;
    const own = new Map<string, QueryGraph>();
    const shared = new Map<string, QueryGraph>();
    for (const [hash, graph] of graphs) (isInternal(hash) ? own : shared).set(hash, graph);
    this.#shared.look(shared);
    this.#internal.look(own);
  }

  /** It is not known any more what clients hold. */
  unbase(): void {
    this.#based = false;
    this.#shared.unbase();
    this.#internal.unbase();
  }

  /** From here on the view is what `stored` says; differences to the graphs are pending. */
  rebase(stored: ReadonlyMap<RowId, Version>): void {
    const own = new Map<RowId, Version>();
    const shared = new Map<RowId, Version>();
    for (const [id, version] of stored)
      (this.#internalTables.has(tableOfRowId(id)) ? own : shared).set(id, version);
    this.#shared.rebase(shared);
    this.#internal.rebase(own);
    this.#based = true;
  }

  /** From here on the view is that of some queries, whose rows are the same as at `since`; what changed in them is pending. */
  rebaseOn(hashes: ReadonlySet<string>, since: Version): void {
    this.#shared.rebaseOn(hashes, since);
    this.#internal.rebaseOn(hashes, since);
    this.#based = true;
  }

  /** The net difference since the last `clear`. */
  fold(): readonly RowSet[] {
    return [this.#shared.fold(), this.#internal.fold()].filter(set => set !== null);
  }

  clear(): void {
    this.#shared.clear();
    this.#internal.clear();
  }

  get(id: RowId): PresentRow | undefined {
    return this.#shared.get(id) ?? this.#internal.get(id);
  }

  /** Every row of the view. */
  *all(): Generator<PresentRow> {
    yield* this.#shared.view.rows();
    yield* this.#internal.view.rows();
  }

  close(): void {
    this.#shared.close();
    this.#internal.close();
  }
}
