import {closeSync, openSync, readSync, writeSync} from 'node:fs';
import type {Database} from 'better-sqlite3';

/** The beginning of a file (https://www.sqlite.org/fileformat2.html §1.3), and where it holds what is needed here. */
const HEADER_BYTES = 100;
const PAGE_BYTES = 16;
const RESERVED_BYTES = 20;
const PAGE_COUNT = 28;
/** Not zero in a file that keeps a map of who points to each page. */
const LARGEST_ROOT = 52;
/** The page with this byte is left out of every file: SQLite's locks are on it. */
const LOCK_BYTE = 0x4000_0000;
/** Pages that are written at once. */
const BLOCK_BYTES = 1024 * 1024;

/**
 * Appends pages to a SQLite file that nobody has open. They are part of it after `finish`; until then what was there before is
 * as it was, except for the pages that were replaced.
 */
export class PageFile {
  /** Of a page as far as SQLite uses it. */
  readonly usableBytes: number;
  readonly pageBytes: number;
  readonly #fd: number;
  #isOpen = true;
  #count: number;
  /** The last pages, not written yet, and where in the file they begin. */
  readonly #block: Buffer;
  #blockAt = 0;
  #blockUsed = 0;

  constructor(file: string) {
    this.#fd = openSync(file, 'r+');
    const header = Buffer.alloc(HEADER_BYTES);
    readSync(this.#fd, header, 0, HEADER_BYTES, 0);
    const pageBytes = header.readUInt16BE(PAGE_BYTES);
    // 65536 does not fit.
    this.pageBytes = pageBytes === 1 ? 65_536 : pageBytes;
    this.usableBytes = this.pageBytes - header[RESERVED_BYTES]!;
    this.#count = header.readUInt32BE(PAGE_COUNT);
    this.#block = Buffer.allocUnsafe(BLOCK_BYTES);
    if (header.readUInt32BE(LARGEST_ROOT) === 0) return;
    this.close();
    throw new RangeError('the file has a pointer map');
  }

  /** The number that the page after `page` gets; the next one's if it is left out. */
  next(page: number = this.#count): number {
    const lockPage = LOCK_BYTE / this.pageBytes + 1;
    return page + 1 === lockPage ? page + 2 : page + 1;
  }

  /** Copies a page to the end. @returns its number. */
  append(page: Buffer): number {
    const number = this.next();
    const offset = this.#offset(number);
    if (offset !== this.#blockAt + this.#blockUsed || this.#blockUsed === BLOCK_BYTES) {
      this.#flush();
      this.#blockAt = offset;
    }
    page.copy(this.#block, this.#blockUsed);
    this.#blockUsed += this.pageBytes;
    this.#count = number;
    return number;
  }

  /** Puts a page into the place of one that was there before. */
  replace(number: number, page: Buffer): void {
    writeAll(this.#fd, page, this.#offset(number));
  }

  finish(): void {
    this.#flush();
    const count = Buffer.alloc(4);
    count.writeUInt32BE(this.#count);
    writeAll(this.#fd, count, PAGE_COUNT);
  }

  close(): void {
    if (this.#isOpen) closeSync(this.#fd);
    this.#isOpen = false;
  }

  #flush(): void {
    writeAll(this.#fd, this.#block.subarray(0, this.#blockUsed), this.#blockAt);
    this.#blockUsed = 0;
  }

  #offset(number: number): number {
    return (number - 1) * this.pageBytes;
  }
}

/** First page of each table and index by its name. */
export const readRoots = (db: Database): ReadonlyMap<string, number> =>
  new Map(db.prepare<[], [string, number]>('SELECT name, rootpage FROM sqlite_schema').raw().all());

/** A disk that is nearly full takes a part of what is written, and says so only at the next try. */
const writeAll = (fd: number, bytes: Buffer, position: number): void => {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
};
