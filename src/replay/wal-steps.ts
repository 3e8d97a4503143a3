import type {Observable, Subscription} from 'rxjs';
import {FixtureUnusable} from '../errors.ts';
import type {ReplayedBatch} from './log-lines.ts';

/** Applies a recording to its replica one transaction at a time, or one step of what came beside the stream. */
export class WalSteps {
  readonly #chain: Subscription;
  #go: (() => void) | null = null;
  #applied: {resolve(): void; reject(error: unknown): void} | null = null;
  #ended: unknown = null;

  /** `chain` replays a recording, and waits for its turn before each transaction and each step of what came beside it. */
  constructor(chain: (turn: () => Promise<void>) => Observable<ReplayedBatch>) {
    this.#chain = chain(() => this.#turn()).subscribe({
      next: ({transactions}) => {
        if (transactions.at(-1)?.commitTimeMs === null) return;
        this.#applied?.resolve();
        this.#applied = null;
      },
      error: error => this.#end(error),
      complete: () =>
        this.#end(new FixtureUnusable('The conversation asks for more transactions than are recorded.')),
    });
  }

  /** Resolves when the next transaction, or what came beside the stream, is applied. @throws FixtureUnusable if there is none. */
  next(): Promise<void> {
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#applied = {resolve, reject};
      this.#release();
    });
  }

  close(): void {
    this.#chain.unsubscribe();
    // The generator that waits for its turn ends with its reader.
    this.#release();
  }

  #turn(): Promise<void> {
    return new Promise(resolve => {
      this.#go = resolve;
      if (this.#applied) this.#release();
    });
  }

  #release(): void {
    const go = this.#go;
    this.#go = null;
    go?.();
  }

  #end(error: unknown): void {
    this.#ended = error;
    this.#applied?.reject(error);
    this.#applied = null;
  }
}
