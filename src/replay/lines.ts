import {closeSync, createReadStream, ftruncateSync, openSync, writeSync} from 'node:fs';
import {FixtureUnusable} from '../errors.ts';

const NEWLINE = 10;
const CHUNK_BYTES = 256 * 1024;

/** Lines of a UTF-8 file, those of one chunk together; memory is bounded by a chunk and the longest line. */
export async function* readLineGroups(file: string): AsyncGenerator<string[]> {
  const lines = new LineSplitter();
  try {
    for await (const chunk of createReadStream(file, {highWaterMark: CHUNK_BYTES}) as AsyncIterable<Buffer>) {
      const complete = lines.feed(chunk);
      if (complete.length) yield complete;
    }
  } catch (error) {
    if ((error as {code?: string}).code === 'ENOENT')
      throw new FixtureUnusable(`${file} is missing.`, {cause: error});
    throw error;
  }
  const rest = lines.rest();
  if (rest !== null) yield [rest];
}

/** Cuts a stream of bytes into lines. */
export class LineSplitter {
  #rest: Buffer[] = [];

  /** The lines that the chunk completes. */
  feed(chunk: Buffer): string[] {
    const end = chunk.lastIndexOf(NEWLINE);
    if (end < 0) {
      this.#rest.push(chunk);
      return [];
    }
    const text = Buffer.concat([...this.#rest, chunk.subarray(0, end)]).toString();
    this.#rest = end + 1 < chunk.length ? [chunk.subarray(end + 1)] : [];
    return text.split('\n');
  }

  /** What came after the last newline. */
  rest(): string | null {
    return this.#rest.length ? Buffer.concat(this.#rest).toString() : null;
  }
}

export async function* readLines(file: string): AsyncGenerator<string> {
  for await (const group of readLineGroups(file)) yield* group;
}

/** Parsed lines of an NDJSON file. @throws FixtureUnusable naming file and line. */
export async function* readJsonLines<T>(file: string, check: (value: unknown) => T): AsyncGenerator<T> {
  let line = 0;
  for await (const text of readLines(file)) yield parseLine(file, ++line, text, check);
}

export const parseLine = <T>(file: string, line: number, text: string, check: (value: unknown) => T): T => {
  try {
    return check(JSON.parse(text));
  } catch (error) {
    throw new FixtureUnusable(`${file}:${line} is not what the format says; the file is damaged.`, {
      cause: error,
    });
  }
};

/**
 * Writes lines to a new file, synchronously and in chunks. Close it with `close()` or `using`. The first write that fails
 * throws FixtureUnusable; what comes after it is dropped, so that closing does not hide why.
 */
export class LineWriter {
  readonly #file: string;
  readonly #fd: number;
  #failed = false;
  #buffer: string[] = [];
  #buffered = 0;
  /** Bytes written or about to be. */
  bytes = 0;

  constructor(file: string) {
    this.#file = file;
    this.#fd = openSync(file, 'w', 0o644);
  }

  write(line: string): void {
    if (this.#failed) return;
    this.#buffer.push(line);
    const length = Buffer.byteLength(line) + 1;
    this.bytes += length;
    this.#buffered += length;
    if (this.#buffered >= CHUNK_BYTES) this.flush();
  }

  flush(): void {
    if (this.#buffer.length === 0) return;
    const bytes = Buffer.from(`${this.#buffer.join('\n')}\n`);
    this.#buffer = [];
    this.#buffered = 0;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    } catch (cause) {
      this.#failed = true;
      const {code} = cause as NodeJS.ErrnoException;
      throw new FixtureUnusable(`${this.#file} cannot be written (${code}).`, {cause});
    }
  }

  /** Takes back everything after the first `bytes`. */
  truncate(bytes: number): void {
    this.flush();
    ftruncateSync(this.#fd, bytes);
    this.bytes = bytes;
  }

  close(): void {
    try {
      this.flush();
    } finally {
      closeSync(this.#fd);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
