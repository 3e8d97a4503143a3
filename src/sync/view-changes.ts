import type {PresentRow} from '../ivm/registry.ts';
import type {RowId} from '../ivm/row-id.ts';
import type {Version} from '../pg/lsn.ts';
import type {RowSet} from './row-set.ts';
import type {GraphMap, Touch, TouchedRow, View} from './view.ts';
import type {Viewer, Views} from './views.ts';

interface PendingRow {
  readonly was: boolean;
  edited: boolean;
}

/**
 * A view as one group follows it: what changed since the group last told its clients. Usually that is one epoch, shared
 * with every other group of the view; rows of its own it keeps only when epochs meet before it could tell of the first.
 */
export class ViewChanges implements Viewer {
  readonly #views: Views;
  readonly #onTouch: () => void;
  #view: View;
  /** unknown: what clients hold is not known yet · nothing: they hold none of it · view: all but what is pending. */
  #base: 'unknown' | 'nothing' | 'view' = 'unknown';
  #shared: Touch | null = null;
  readonly #own = new Map<RowId, PendingRow>();

  constructor(views: Views, onTouch: () => void) {
    this.#views = views;
    this.#onTouch = onTouch;
    this.#view = views.join(new Map(), this);
  }

  get view(): View {
    return this.#view;
  }

  get size(): number {
    return this.#own.size + (this.#shared?.rows.size ?? 0);
  }

  close(): void {
    this.#views.leave(this.#view, this);
  }

  touched(touch: Touch): void {
    if (this.#base === 'unknown') return;
    if (this.#base === 'view') {
      if (this.#shared || this.#own.size) {
        this.#spill();
        this.#merge(touch.rows);
      } else this.#shared = touch;
    }
    this.#onTouch();
  }

  /** Looks at other graphs from here on; rows that come or go by it are pending. */
  look(graphs: GraphMap): void {
    const before = this.#view;
    const after = this.#views.join(graphs, this);
    if (after === before) return;
    // Who holds nothing gets everything, which is made once for all who do.
    if (this.#base === 'view' && this.size === 0 && before.empty) this.#base = 'nothing';
    if (this.#base === 'view') {
      this.#spill();
      for (const [hash, graph] of [...before.graphs, ...graphs]) {
        if (before.graphs.get(hash) === graphs.get(hash)) continue;
        const comes = graphs.get(hash) === graph;
        for (const {id} of graph.rows()) {
          const known = this.#own.get(id);
          if (!known) this.#own.set(id, {was: before.has(id), edited: false});
          // It left another graph since the last fold: its contents may have changed on the way.
          else if (comes) known.edited = true;
        }
      }
    }
    this.#views.leave(before, this);
    this.#view = after;
  }

  unbase(): void {
    this.#base = 'unknown';
    this.#shared = null;
    this.#own.clear();
  }

  /** Clients hold `stored`: rows with their versions. What differs from the view is pending. */
  rebase(stored: ReadonlyMap<RowId, Version>): void {
    this.#shared = null;
    this.#own.clear();
    this.#base = stored.size ? 'view' : 'nothing';
    if (stored.size === 0) return;
    for (const [id, rowVersion] of stored)
      if (this.#view.get(id)?.rowVersion !== rowVersion) this.#own.set(id, {was: true, edited: true});
    for (const {id} of this.#view.rows()) if (!stored.has(id)) this.#own.set(id, {was: false, edited: false});
  }

  /** Clients hold the rows of these queries, which are still the same, as they were at a version. */
  rebaseOn(hashes: ReadonlySet<string>, since: Version): void {
    this.unbase();
    const {graphs} = this.#view;
    const held = new Set([...graphs].filter(([hash]) => hashes.has(hash)).map(([, graph]) => graph));
    this.#base = held.size ? 'view' : 'nothing';
    if (held.size === 0) return;
    for (const graph of new Set(graphs.values()))
      for (const {id, rowVersion} of graph.rows())
        if ([...held].some(other => other.has(id))) {
          if (rowVersion > since) this.#own.set(id, {was: true, edited: true});
        } else this.#own.set(id, {was: false, edited: false});
  }

  /** What clients must be told and the view record is to hold; null: nothing. Empty it by `clear` when it is on its way. */
  fold(): RowSet | null {
    if (this.#base === 'nothing') return this.#view.whole();
    if (this.#shared) return this.#shared.fold();
    return this.#own.size ? this.#view.fold(this.#own) : null;
  }

  /** What was folded is being written: what comes from now on counts from there. */
  clear(): void {
    this.#base = 'view';
    this.#shared = null;
    this.#own.clear();
  }

  get(id: RowId): PresentRow | undefined {
    return this.#view.get(id);
  }

  #spill(): void {
    const shared = this.#shared;
    this.#shared = null;
    if (shared) this.#merge(shared.rows);
  }

  #merge(rows: ReadonlyMap<RowId, TouchedRow>): void {
    for (const [id, {was, edited, again}] of rows) {
      const known = this.#own.get(id);
      if (known) known.edited ||= again;
      else this.#own.set(id, {was, edited});
    }
  }
}
