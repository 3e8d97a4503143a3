import {Bag} from './bag.ts';

/** Both ends included; ±Infinity: unbounded. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

interface Entry<T> extends Range {
  readonly owners: Bag<T>;
}

/**
 * Owners by the range in which a number concerns them. Ranges bounded on one side are found without looking at others;
 * of those bounded on both sides, the ones that begin above a number are not looked at. Equal ranges are one.
 */
export class Ranges<T> {
  readonly #entries = new Map<string, Entry<T>>();
  /** Without an upper bound, and with two: by where they begin, lowest first. */
  readonly #upwards: Entry<T>[] = [];
  readonly #between: Entry<T>[] = [];
  /** Without a lower bound: by where they end, highest first. */
  readonly #downwards: Entry<T>[] = [];

  add(range: Range, owner: T): void {
    const name = nameOf(range);
    let entry = this.#entries.get(name);
    if (!entry) {
      entry = {...range, owners: new Bag()};
      this.#entries.set(name, entry);
      const list = this.#listOf(range);
      const order = this.#orderOf(list);
      list.splice(firstAfter(list, order(entry), order), 0, entry);
    }
    entry.owners.add(owner);
  }

  delete(range: Range, owner: T): void {
    const name = nameOf(range);
    const entry = this.#entries.get(name);
    if (!entry?.owners.delete(owner)) return;
    this.#entries.delete(name);
    const list = this.#listOf(range);
    list.splice(list.indexOf(entry), 1);
  }

  get empty(): boolean {
    return this.#entries.size === 0;
  }

  /** NaN concerns everybody: it stands for what is no number. */
  collect(value: number, into: Set<T>): void {
    for (const {owners} of this.#at(value)) owners.collect(into);
  }

  has(value: number): boolean {
    return !this.#at(value).next().done;
  }

  *#at(value: number): Generator<Entry<T>, void> {
    if (Number.isNaN(value)) return yield* this.#entries.values();
    for (const entry of this.#upwards) {
      if (entry.from > value) break;
      yield entry;
    }
    for (const entry of this.#downwards) {
      if (entry.to < value) break;
      yield entry;
    }
    for (const entry of this.#between) {
      if (entry.from > value) break;
      if (entry.to >= value) yield entry;
    }
  }

  #listOf({from, to}: Range): Entry<T>[] {
    if (to === Number.POSITIVE_INFINITY) return this.#upwards;
    return from === Number.NEGATIVE_INFINITY ? this.#downwards : this.#between;
  }

  #orderOf(list: Entry<T>[]): (range: Range) => number {
    return list === this.#downwards ? ({to}) => -to : ({from}) => from;
  }
}

const nameOf = ({from, to}: Range): string => `${from} ${to}`;

/** Index of the first entry that is ordered after `place`. */
const firstAfter = <R>(list: readonly R[], place: number, order: (entry: R) => number): number => {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (order(list[middle]!) <= place) low = middle + 1;
    else high = middle;
  }
  return low;
};
