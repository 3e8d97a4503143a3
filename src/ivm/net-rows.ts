import {digestOfIds} from './id-digest.ts';
import type {NodeDiff} from './node.ts';
import type {PresentRow, RowDiff} from './registry.ts';
import type {RowId} from './row-id.ts';

/** A graph's rows, netted over its nodes: a row is present as long as any node holds it. */
export class NetRows {
  readonly #rows = new Map<RowId, PresentRow>();
  /** Of those that more than one node holds, how many hold it: most rows are in one place. */
  readonly #counts = new Map<RowId, number>();
  /** What the rows touched in the present step were before it. */
  readonly #before = new Map<RowId, PresentRow | null>();
  #list: readonly PresentRow[] | null = null;
  #rowSet: string | null = null;

  get size(): number {
    return this.#rows.size;
  }

  has(id: RowId): boolean {
    return this.#rows.has(id);
  }

  get(id: RowId): PresentRow | undefined {
    return this.#rows.get(id);
  }

  list(): readonly PresentRow[] {
    this.#list ??= [...this.#rows.values()];
    return this.#list;
  }

  rowSet(): string {
    this.#rowSet ??= digestOfIds(this.#rows.keys());
    return this.#rowSet;
  }

  /** The same row with the same contents, from elsewhere, if it is present. */
  replace(row: PresentRow): void {
    if (this.#rows.has(row.id)) this.#rows.set(row.id, row);
  }

  /** `remembers`: what the diff changes belongs to a step that will be told. */
  add({added, edited, removed}: NodeDiff, remembers: boolean): void {
    const remember = (id: RowId) => {
      if (remembers && !this.#before.has(id)) this.#before.set(id, this.#rows.get(id) ?? null);
    };
    for (const {row} of added) {
      remember(row.id);
      const known = this.#rows.size;
      this.#rows.set(row.id, row);
      if (this.#rows.size === known) this.#counts.set(row.id, (this.#counts.get(row.id) ?? 1) + 1);
    }
    for (const {after} of edited) {
      remember(after.row.id);
      this.replace(after.row);
    }
    for (const {row} of removed) {
      remember(row.id);
      const count = this.#counts.get(row.id) ?? 1;
      if (count > 2) this.#counts.set(row.id, count - 1);
      else if (!this.#counts.delete(row.id)) this.#rows.delete(row.id);
    }
  }

  /** What the step changed; the next one begins. */
  takeDiffs(): RowDiff[] {
    const diffs: RowDiff[] = [];
    for (const [id, before] of this.#before) {
      const after = this.get(id);
      if (after && !before) diffs.push({op: 'add', row: after});
      else if (after && before && (after.rowVersion !== before.rowVersion || after.put !== before.put))
        diffs.push({op: 'edit', row: after});
      else if (before && !after) diffs.push({op: 'remove', id, table: before.table});
    }
    this.#before.clear();
    if (diffs.length) {
      this.#list = null;
      if (diffs.some(({op}) => op !== 'edit')) this.#rowSet = null;
    }
    return diffs;
  }

  /** Before it is read anew: `takeDiffs` will then tell how it differs from `old`, where a step that was given up began. */
  replaceAll(old: NetRows): void {
    for (const [id, row] of old.#rows) this.#before.set(id, row);
    for (const [id, row] of old.#before) this.#before.set(id, row);
    for (const id of this.#rows.keys()) if (!this.#before.has(id)) this.#before.set(id, null);
  }
}
