/** Which transactions a reader saw: `pg_current_snapshot()`, as text `xmin:xmax:xip,xip…` of 64-bit ids. */
export class TransactionSnapshot {
  readonly #xmax: bigint;
  readonly #running: ReadonlySet<bigint>;

  /** @throws RangeError if `text` is none. */
  constructor(readonly text: string) {
    const m = /^\d+:(\d+):([\d,]*)$/.exec(text);
    if (!m) throw new RangeError('not a transaction snapshot');
    this.#xmax = BigInt(m[1]!);
    this.#running = new Set(m[2] ? m[2].split(',').map(BigInt) : []);
  }

  /** True if it was taken before `other`, so that it may lack what that one saw. */
  isOlderThan(other: TransactionSnapshot): boolean {
    return this.#xmax < other.#xmax;
  }

  /** True if the effects of transaction `xid` were seen. The stream names transactions by the low 32 bits of their ids. */
  sees(xid: number): boolean {
    // Of all ids with these low bits the one nearest to xmax is meant: PostgreSQL keeps all ids in use within 2^31.
    const distance = BigInt.asIntN(32, BigInt(xid) - this.#xmax);
    const full = this.#xmax + distance;
    return full < this.#xmax && !this.#running.has(full);
  }
}
