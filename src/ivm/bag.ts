/** Counts references, so that several nodes of one owner may share an entry. */
export class Bag<T> {
  readonly #counts = new Map<T, number>();

  add(item: T): void {
    this.#counts.set(item, (this.#counts.get(item) ?? 0) + 1);
  }

  /** True if the bag is now empty. */
  delete(item: T): boolean {
    const count = this.#counts.get(item) ?? 0;
    if (count > 1) this.#counts.set(item, count - 1);
    else this.#counts.delete(item);
    return this.#counts.size === 0;
  }

  collect(into: Set<T>): void {
    for (const item of this.#counts.keys()) into.add(item);
  }

  get empty(): boolean {
    return this.#counts.size === 0;
  }
}
