import {type MonoTypeOperatorFunction, Observable} from 'rxjs';
import type {Lsn} from '../pg/lsn.ts';
import type {WalFrames} from '../pg/wal-source.ts';
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
  /** The chain has ended or failed, or never ran. */
  end(): void;
}

/**
 * Lets others listen to the frames of a running chain without touching it. Costs a look at each frame's first bytes
 * while nobody listens. One tap serves the successive chains of a process.
 */
export class FrameTap {
  readonly #relations = new Map<number, Buffer>();
  readonly #waiting = new Set<FrameListener>();
  readonly #listening = new Set<FrameListener>();
  #running = false;
  #inTransaction = false;
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

  #see(frames: WalFrames): void {
    for (const listener of this.#listening) listener.frames(frames);
    for (const frame of frames) {
      const relation = relationOf(frame);
      // The frame's memory is the socket's and will be used again.
      if (relation !== null) this.#relations.set(relation, Buffer.from(frame));
      else if (beginOf(frame) !== null) this.#inTransaction = true;
      else {
        const commit = commitOf(frame);
        if (commit !== null) {
          this.#inTransaction = false;
          this.#lastCommit = commit;
        }
      }
    }
    this.#admit();
  }

  #admit(): void {
    if (this.#inTransaction) return;
    for (const listener of this.#waiting) {
      this.#waiting.delete(listener);
      this.#listening.add(listener);
      listener.start([...this.#relations.values()], this.#lastCommit);
    }
  }

  #reset(): void {
    this.#running = false;
    this.#inTransaction = false;
    this.#lastCommit = null;
    this.#relations.clear();
    for (const listener of [...this.#listening, ...this.#waiting]) listener.end();
    this.#listening.clear();
    this.#waiting.clear();
  }
}
