import type {SqliteValue} from '../replica/table-spec.ts';
import {compareValues} from '../zql/compare.ts';
import type {NodePlan} from '../zql/plan.ts';
import type {StoredRow} from '../zql/predicate.ts';
import type {NodeRow} from './node-rows.ts';
import type {RowId} from './row-id.ts';

type Position = readonly SqliteValue[];

interface Entry {
  readonly row: NodeRow;
  readonly at: Position;
}

/**
 * The first rows of a limited root, in order: exactly the matching rows up to a bound, or all of them. It may hold more
 * than the limit, in reserve, so that a row that leaves need not be replaced by a new search (zql.md §3.5).
 */
export class Window {
  readonly limit: number;
  readonly capacity: number;
  readonly #order: NodePlan['order'];
  #entries: Entry[] = [];
  #ids = new Map<RowId, Entry>();
  /** Nothing is known beyond it; null: there is nothing beyond. */
  #bound: Position | null = null;

  constructor(plan: NodePlan, reserve: number) {
    this.limit = plan.limit!;
    this.capacity = this.limit + reserve;
    this.#order = plan.order;
  }

  get bound(): Position | null {
    return this.#bound;
  }

  /** Rows short of the limit although there may be more in the replica. */
  get wants(): number {
    return this.#bound && this.#entries.length < this.limit ? this.capacity - this.#entries.length : 0;
  }

  has(id: RowId): boolean {
    return this.#ids.has(id);
  }

  /** The rows of the result. */
  first(): NodeRow[] {
    const rows: NodeRow[] = [];
    for (let i = 0; i < this.#entries.length && i < this.limit; i++) rows.push(this.#entries[i]!.row);
    return rows;
  }

  /** All over again: `rows` in order, read with the capacity as limit. */
  fill(rows: readonly NodeRow[]): void {
    this.#entries = rows.map(entryOf);
    this.#ids = new Map(this.#entries.map(entry => [entry.row.row.id, entry]));
    this.#bound = rows.length < this.capacity ? null : (this.#entries.at(-1)?.at ?? null);
  }

  /** Rows after the bound, as many as were wanted or all there are. */
  refill(rows: readonly NodeRow[]): void {
    const wanted = this.wants;
    for (const row of rows) this.#append(entryOf(row));
    this.#bound = rows.length < wanted ? null : this.#entries.at(-1)!.at;
  }

  /** Of the touched rows, those in `matching` match now, wherever they are. The bound meant is the old one. */
  update(touched: Iterable<RowId>, matching: Iterable<NodeRow>): void {
    const gone = new Set<Entry>();
    for (const id of touched) {
      const entry = this.#ids.get(id);
      if (entry) gone.add(entry);
    }
    if (gone.size) {
      this.#entries = this.#entries.filter(entry => !gone.has(entry));
      for (const {row} of gone) this.#ids.delete(row.row.id);
    }
    for (const row of matching) {
      const entry = entryOf(row);
      if (this.#bound && this.#compare(entry.at, this.#bound) > 0) continue;
      this.#entries.splice(this.#place(entry.at), 0, entry);
      this.#ids.set(row.row.id, entry);
    }
    if (this.#entries.length <= this.capacity) return;
    for (const {row} of this.#entries.splice(this.capacity)) this.#ids.delete(row.row.id);
    this.#bound = this.#entries.at(-1)?.at ?? null;
  }

  /** Does a stored row sort after everything known? */
  isBeyond(row: StoredRow): boolean {
    if (!this.#bound) return false;
    for (const [i, [name, direction]] of this.#order.entries()) {
      const order = compareValues(row[name] ?? null, this.#bound[i]!);
      if (order !== 0) return direction === 'asc' ? order > 0 : order < 0;
    }
    return false;
  }

  #append(entry: Entry): void {
    this.#entries.push(entry);
    this.#ids.set(entry.row.row.id, entry);
  }

  #place(at: Position): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#compare(this.#entries[middle]!.at, at) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #compare(a: Position, b: Position): number {
    for (const [i, [, direction]] of this.#order.entries()) {
      const order = compareValues(a[i]!, b[i]!);
      if (order !== 0) return direction === 'asc' ? order : -order;
    }
    return 0;
  }
}

const entryOf = (row: NodeRow): Entry => ({row, at: JSON.parse(row.order!) as SqliteValue[]});
