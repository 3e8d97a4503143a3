/** Each bucket ends this much later than the one before: times are known to within 3 %. */
const STEP = Math.log(1.06);
const COMPRESSION = 1000;

/**
 * How long something took, as a distribution in bounded space. On the wire it is a t-digest, a flat list of its
 * compression and then mean and weight of each centroid, in order (protocol.md §3.8).
 */
export class TimeDigest {
  readonly #buckets = new Map<number, {sum: number; count: number}>();

  add(ms: number): void {
    this.#put(Math.round(Math.log(Math.max(ms, 1e-4)) / STEP), ms, 1);
  }

  merge(other: TimeDigest): void {
    for (const [bucket, {sum, count}] of other.#buckets) this.#put(bucket, sum, count);
  }

  toWire(): number[] {
    const centroids = [...this.#buckets].sort(([a], [b]) => a - b);
    return [COMPRESSION, ...centroids.flatMap(([, {sum, count}]) => [sum / count, count])];
  }

  #put(bucket: number, sum: number, count: number): void {
    const known = this.#buckets.get(bucket);
    if (known) {
      known.sum += sum;
      known.count += count;
    } else this.#buckets.set(bucket, {sum, count});
  }
}
