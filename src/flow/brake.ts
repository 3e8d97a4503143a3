/** Stops a source while anybody holds it, and lets it go when the last one releases it. */
export class Brake {
  readonly #stop: () => void;
  readonly #go: () => void;
  readonly #holders = new Set<string>();
  #waiting: (() => void)[] = [];

  constructor(stop: () => void, go: () => void) {
    this.#stop = stop;
    this.#go = go;
  }

  hold(who: string): void {
    const first = this.#holders.size === 0;
    this.#holders.add(who);
    if (first) this.#stop();
  }

  release(who: string): void {
    if (!this.#holders.delete(who) || this.#holders.size > 0) return;
    this.#go();
    this.#tell();
  }

  /** The source has ended, whoever held it: nobody waits for room any more. */
  end(): void {
    this.#holders.clear();
    this.#tell();
  }

  #tell(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  /** Resolves when nobody holds it, or the source has ended. */
  free(): Promise<void> {
    return this.#holders.size === 0 ? Promise.resolve() : new Promise(resolve => this.#waiting.push(resolve));
  }
}
