import {join} from 'node:path';
import type {Database} from 'better-sqlite3';
import type {Subscription} from 'rxjs';
import {replay} from '../../pipelines/replay.ts';
import {FixtureUnusable} from '../errors.ts';
import {asidesOf} from '../replay/first-replica.ts';
import {type Fixture, WAL_FILE, type WalCase} from '../replay/fixture.ts';
import {readReplicaState} from '../replica/sync-context.ts';

/** Applies a recording to its replica one transaction at a time, or one step of what came beside the stream. */
export class WalSteps {
  readonly #chain: Subscription;
  #go: (() => void) | null = null;
  #applied: {resolve(): void; reject(error: unknown): void} | null = null;
  #ended: unknown = null;

  constructor(db: Database, {dir, case: facts}: Fixture<WalCase>) {
    this.#chain = replay({
      db,
      watermark: readReplicaState(db).stateVersion,
      recording: join(dir, WAL_FILE),
      asides: asidesOf(dir),
      options: {perTransaction: true},
      partBytes: facts.partBytes,
      beforeGroup: () => this.#turn(),
      beforeAside: () => this.#turn(),
    }).subscribe({
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
