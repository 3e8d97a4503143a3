import {type MonoTypeOperatorFunction, Observable} from 'rxjs';
import type {CatalogState} from '../pg/catalog.ts';
import type {WalFrames} from '../pg/gather-frames.ts';
import type {Lsn} from '../pg/lsn.ts';
import type {Batch} from '../replication/batch.ts';
import type {SideWitness} from '../replication/follow-schema.ts';
import {asideLine, catalogLine} from './aside-lines.ts';
import {beginOf, commitOf, relationOf} from './recording.ts';

/** Who listens to a chain's frames, from between two transactions on. */
export interface FrameListener {
  /**
   * Called once, before the first frame: the descriptions of relations that PostgreSQL sent before and will not send again,
   * and the last commit before (null: none on this connection).
   */
  start(relations: readonly Buffer[], lastCommit: Lsn | null): void;
  /** Frames are valid during the call only. */
  frames(frames: WalFrames): void;
  /** A line of `asides.ndjson`. */
  aside(line: string): void;
  /** The chain has ended or failed, or never ran. */
  end(): void;
}

/**
 * Lets others listen to the frames of a running chain without touching it. Costs a look at each frame's first bytes
 * while nobody listens. One tap serves the successive chains of a process.
 */
export class FrameTap implements SideWitness {
  readonly #relations = new Map<number, Buffer>();
  readonly #waiting = new Set<FrameListener>();
  readonly #listening = new Set<FrameListener>();
  #running = false;
  #inTransaction = false;
  /** True while a table is read beside the stream: who starts within would miss the beginning. */
  #filling = false;
  #lastCommit: Lsn | null = null;

  /** Starts at the next boundary between two transactions. @returns what stops it. */
  listen(listener: FrameListener): () => void {
    if (!this.#running) {
      listener.end();
      return () => {};
    }
    this.#waiting.add(listener);
    this.#admit();
    return () => {
      this.#waiting.delete(listener);
      this.#listening.delete(listener);
    };
  }

  /** The place in the chain where frames are seen. */
  watch(): MonoTypeOperatorFunction<WalFrames> {
    return source =>
      new Observable(out => {
        this.#running = true;
        const subscription = source.subscribe({
          next: frames => {
            this.#see(frames);
            out.next(frames);
          },
          error: error => out.error(error),
          complete: () => out.complete(),
        });
        return () => {
          subscription.unsubscribe();
          this.#reset();
        };
      });
  }

  aside(batch: Batch, after: Lsn): void {
    if (batch.kind === 'backfill') this.#filling = batch.step.tag !== 'end' && !batch.step.refused;
    if (this.#listening.size) {
      const line = asideLine(batch, after);
      for (const listener of this.#listening) listener.aside(line);
    }
    this.#admit();
  }

  catalog(state: CatalogState, before: Lsn): void {
    if (this.#listening.size === 0) return;
    const line = catalogLine(state, before);
    for (const listener of this.#listening) listener.aside(line);
  }

  #see(frames: WalFrames): void {
    for (const listener of this.#listening) listener.frames(frames);
    for (const [i, frame] of frames.entries()) {
      const relation = relationOf(frame);
      // The frame's memory is the socket's and will be used again.
      if (relation !== null) this.#relations.set(relation, Buffer.from(frame));
      else if (beginOf(frame) !== null) this.#inTransaction = true;
      else {
        const commit = commitOf(frame);
        if (commit !== null) {
          this.#inTransaction = false;
          this.#lastCommit = commit;
          // Under load no group of frames may ever end between two transactions.
          if (this.#waiting.size) this.#admit(frames.slice(i + 1));
        }
      }
    }
    this.#admit();
  }

  /** @param rest frames that have come already. */
  #admit(rest: WalFrames = []): void {
    if (this.#inTransaction || this.#filling) return;
    for (const listener of this.#waiting) {
      this.#waiting.delete(listener);
      this.#listening.add(listener);
      listener.start([...this.#relations.values()], this.#lastCommit);
      if (rest.length) listener.frames(rest);
    }
  }

  #reset(): void {
    this.#running = false;
    this.#inTransaction = false;
    this.#filling = false;
    this.#lastCommit = null;
    this.#relations.clear();
    for (const listener of [...this.#listening, ...this.#waiting]) listener.end();
    this.#listening.clear();
    this.#waiting.clear();
  }
}
