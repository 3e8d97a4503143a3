import {StreamUndecodable} from '../errors.ts';

const NEWLINE = 10;

/** Cuts chunks of any size after their last newline; what follows it waits for its own, as the beginning of the next cut. */
export class WholeLines {
  #rest: Buffer[] = [];

  /** @returns the lines that are whole by now, with their newlines; null if there is none. */
  cut(chunk: Buffer): Buffer | null {
    // A newline byte is never part of another UTF-8 character, and newlines in values come escaped.
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end < chunk.length) {
      const rest = chunk.subarray(end);
      if (end === 0) {
        this.#rest.push(rest);
        return null;
      }
      const lines = this.#join(chunk.subarray(0, end));
      this.#rest = [rest];
      return lines;
    }
    return end ? this.#join(chunk) : null;
  }

  /** @throws StreamUndecodable if something is left over, as nothing is at the end of a whole stream. */
  finish(): void {
    if (this.#rest.length) throw new StreamUndecodable('A COPY ended within a row.');
  }

  #join(chunk: Buffer): Buffer {
    const lines = this.#rest.length ? Buffer.concat([...this.#rest, chunk]) : chunk;
    this.#rest = [];
    return lines;
  }
}
