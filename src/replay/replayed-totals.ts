import {exactly} from '../observe/units.ts';
import {formatLsn, type Lsn} from '../pg/lsn.ts';
import type {ReplayedTransaction} from './log-lines.ts';

/** Counts what a replay brings, and joins the parts of a large transaction. */
export class ReplayedTotals {
  readonly #onTransaction: (transaction: ReplayedTransaction) => void;
  #open: ReplayedTransaction | null = null;
  #transactions = 0;
  #changes = 0;
  #last: Lsn | null = null;

  constructor(onTransaction: (transaction: ReplayedTransaction) => void) {
    this.#onTransaction = onTransaction;
  }

  add(part: ReplayedTransaction): void {
    for (const kinds of part.changes.values())
      for (const count of Object.values(kinds)) this.#changes += count;
    const whole = this.#open ? {...part, changes: sum(this.#open.changes, part.changes)} : part;
    this.#open = part.commitTimeMs === null ? whole : null;
    if (this.#open) return;
    this.#transactions++;
    this.#last = part.commitLsn;
    this.#onTransaction(whole);
  }

  text(partial: boolean): string {
    const where = partial
      ? `, stopped ${this.#last === null ? 'before the first' : `after ${formatLsn(this.#last)}`}`
      : '';
    return `${exactly(this.#transactions, 'transaction')}, ${exactly(this.#changes, 'change')}${where}`;
  }
}

const sum = (a: ReplayedTransaction['changes'], b: ReplayedTransaction['changes']) => {
  const both = new Map([...a].map(([table, kinds]) => [table, {...kinds}]));
  for (const [table, kinds] of b) {
    const known = both.get(table) ?? {};
    for (const [kind, n] of Object.entries(kinds)) known[kind] = (known[kind] ?? 0) + n;
    both.set(table, known);
  }
  return both;
};
