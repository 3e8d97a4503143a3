const NEWLINE = 10;

/**
 * Cuts a `COPY … TO STDOUT` text stream into rows: feed chunks of any size, get for each the rows completed by it.
 * A row is one string per column, null for `\N`. The remainder of an unfinished row is kept (bounded by one row).
 */
export class CopyTextParser {
  #rest: Buffer | null = null;

  parse(chunk: Buffer): (string | null)[][] {
    const end = chunk.lastIndexOf(NEWLINE);
    if (end < 0) {
      this.#rest = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk;
      return [];
    }
    // A newline byte is never part of another UTF-8 character, and newlines in values come escaped.
    const whole = chunk.subarray(0, end);
    const text = this.#rest ? Buffer.concat([this.#rest, whole]).toString() : whole.toString();
    this.#rest = end + 1 < chunk.length ? chunk.subarray(end + 1) : null;
    return text.split('\n').map(line => {
      const fields: (string | null)[] = line.split('\t');
      // Escapes are rare: one search per line instead of one per field.
      if (line.includes('\\'))
        for (let i = 0; i < fields.length; i++) {
          const field = fields[i]!;
          if (field === '\\N') fields[i] = null;
          else if (field.includes('\\')) fields[i] = unescapeField(field);
        }
      return fields;
    });
  }

  /** True if nothing is left over, as it must be at the end of the stream. */
  get finished(): boolean {
    return this.#rest === null;
  }
}

const ESCAPES: Readonly<Record<string, string>> = {b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v'};

const unescapeField = (field: string): string =>
  field.replaceAll(/\\(.)/gs, (_, c: string) => ESCAPES[c] ?? c);
