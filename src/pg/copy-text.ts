import {isAscii} from 'node:buffer';
import type {SqliteValue} from '../replica/table-spec.ts';

const NEWLINE = 10;

/**
 * Cuts a `COPY … TO STDOUT` text stream into values: feed chunks of any size; each call appends the fields of the rows
 * completed by it, row after row, to `into`, converted by the column's function, null for `\N`. The remainder of an
 * unfinished row is kept (bounded by one row).
 */
export class CopyTextParser {
  readonly #decode: readonly ((text: string) => SqliteValue)[];
  #rest: Buffer | null = null;

  constructor(decode: readonly ((text: string) => SqliteValue)[]) {
    this.#decode = decode;
  }

  /** @returns the number of rows completed. */
  parse(chunk: Buffer, into: SqliteValue[]): number {
    const end = chunk.lastIndexOf(NEWLINE);
    if (end < 0) {
      this.#rest = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk;
      return 0;
    }
    // A newline byte is never part of another UTF-8 character, and newlines in values come escaped.
    const part = chunk.subarray(0, end);
    const whole = this.#rest ? Buffer.concat([this.#rest, part]) : part;
    this.#rest = end + 1 < chunk.length ? chunk.subarray(end + 1) : null;
    // One string for many rows, cut by V8's own split, is several times faster than a call per field.
    const lines = whole.toString(isAscii(whole) ? 'latin1' : 'utf8').split('\n');
    const decode = this.#decode;
    const width = decode.length;
    for (const line of lines) {
      const fields = width === 0 ? [] : line.split('\t');
      // Escapes are rare: one search per line instead of one per field.
      if (line.includes('\\'))
        for (let i = 0; i < width; i++) {
          const field = fields[i]!;
          if (field === '\\N') into.push(null);
          else into.push(decode[i]!(field.includes('\\') ? unescapeField(field) : field));
        }
      else for (let i = 0; i < width; i++) into.push(decode[i]!(fields[i]!));
    }
    return lines.length;
  }

  /** True if nothing is left over, as it must be at the end of the stream. */
  get finished(): boolean {
    return this.#rest === null;
  }
}

const ESCAPES: Readonly<Record<string, string>> = {b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v'};

const unescapeField = (field: string): string =>
  field.replaceAll(/\\(.)/gs, (_, c: string) => ESCAPES[c] ?? c);
