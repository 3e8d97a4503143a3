import {join} from 'node:path';
import type {Database} from 'better-sqlite3';
import type {Subscription} from 'rxjs';
import {replay} from '../../pipelines/replay.ts';
import {FixtureUnusable} from '../errors.ts';
import {asidesOf} from '../replay/first-replica.ts';
import {type Fixture, type SessionCase, WAL_FILE, type WalCase} from '../replay/fixture.ts';
import {readReplicaState} from '../replica/sync-context.ts';
import type {VersionReady} from '../sync/types.ts';

/** Applies a recording to its replica one transaction at a time, or one step of what came beside the stream. */
export class WalSteps {
  readonly #chain: Subscription;
  #go: (() => void) | null = null;
  #applied: {resolve(): void; reject(error: unknown): void} | null = null;
  #ended: unknown = null;

  /** @param ready is told each version, as workers are. */
  constructor(
    db: Database,
    {dir, case: facts}: Fixture<SessionCase | WalCase>,
    ready: (ready: VersionReady) => void = () => {},
  ) {
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
        const last = transactions.at(-1);
        if (last?.commitTimeMs === null) return;
        if (last)
          ready({version: last.version, upstreamCommitTimeMs: last.commitTimeMs, readyTimeMs: Date.now()});
        this.#applied?.resolve();
        this.#applied = null;
      },
      error: error => this.#end(error),
      complete: () =>
        this.#end(new FixtureUnusable('The session asks for more transactions than are recorded.')),
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
