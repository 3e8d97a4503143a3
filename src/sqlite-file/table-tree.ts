import {InteriorLevel} from './interior-level.ts';
import type {PageFile} from './page-file.ts';
import type {RecordBuffer} from './record.ts';
import {putVarintBefore} from './varint.ts';

const LEAF = 13;
/** Kind, first free block (2), number of cells (2), where their content begins (2), free bytes among them (1). */
const HEADER_BYTES = 8;
const POINTER_BYTES = 2;
/** In front of what an overflow page holds: the number of the next one. */
const NEXT_BYTES = 4;
/** SQLite reads no larger row. */
const MAX_ROW_BYTES = 1_000_000_000;

/**
 * The rows of a table as SQLite keeps them: a b-tree by rowid (https://www.sqlite.org/fileformat2.html §1.6). Rows come with
 * rising rowids, so that leaves fill one after the other and nothing is ever moved: each page is appended to the file when it is
 * full. Only one page per level is held.
 */
export class TableTree {
  readonly #file: PageFile;
  readonly #root: number;
  readonly #leaf: Buffer;
  /** Of the leaf: cells, and where their content, which grows towards the front, begins. */
  #cells = 0;
  #contentAt: number;
  #rowid = 0;
  readonly #maxLocal: number;
  readonly #minLocal: number;
  #above: InteriorLevel | null = null;
  #overflow: Buffer | null = null;

  /** @param root of a table that is empty. */
  constructor(file: PageFile, root: number) {
    this.#file = file;
    this.#root = root;
    this.#leaf = Buffer.alloc(file.pageBytes);
    this.#contentAt = file.usableBytes;
    this.#maxLocal = file.usableBytes - 35;
    this.#minLocal = Math.floor(((file.usableBytes - 12) * 32) / 255) - 23;
  }

  /** Appends the row. A cell is the size of the record, the rowid, the record, and a page number if not all of it is here. */
  append(record: RecordBuffer): void {
    const rowid = this.#rowid + 1;
    const from = record.finish();
    const size = record.end - from;
    if (size > MAX_ROW_BYTES)
      throw Object.assign(new RangeError(`a row of ${size} bytes is too large`), {code: 'SQLITE_TOOBIG'});
    let at = putVarintBefore(record.bytes, rowid, from);
    at = putVarintBefore(record.bytes, size, at);
    const local = this.#localBytes(size);
    const cellBytes = from + local - at + (local < size ? NEXT_BYTES : 0);
    if (this.#contentAt - cellBytes < HEADER_BYTES + POINTER_BYTES * (this.#cells + 1)) this.#endLeaf();
    this.#contentAt -= cellBytes;
    record.bytes.copy(this.#leaf, this.#contentAt, at, from + local);
    if (local < size) {
      const first = this.#appendOverflow(record.bytes.subarray(from + local, record.end));
      this.#leaf.writeUInt32BE(first, this.#contentAt + cellBytes - NEXT_BYTES);
    }
    this.#leaf.writeUInt16BE(this.#contentAt, HEADER_BYTES + POINTER_BYTES * this.#cells++);
    this.#rowid = rowid;
  }

  /** Puts the root into its place: the leaf, if there is only one. */
  finish(): void {
    if (this.#above) {
      this.#endLeaf();
      this.#above.finish(this.#root);
    } else this.#file.replace(this.#root, this.#closedLeaf());
  }

  /** How much of a record stays on the leaf: all that fits, or so much that overflow pages are filled if that can be. */
  #localBytes(size: number): number {
    if (size <= this.#maxLocal) return size;
    const filling = this.#minLocal + ((size - this.#minLocal) % (this.#file.usableBytes - NEXT_BYTES));
    return filling <= this.#maxLocal ? filling : this.#minLocal;
  }

  #appendOverflow(rest: Buffer): number {
    const file = this.#file;
    const first = file.next();
    const page = (this.#overflow ??= Buffer.alloc(file.pageBytes));
    for (let at = 0; at < rest.length; ) {
      const end = at + file.usableBytes - NEXT_BYTES;
      page.writeUInt32BE(end < rest.length ? file.next(file.next()) : 0, 0);
      rest.copy(page, NEXT_BYTES, at, end);
      file.append(page);
      at = end;
    }
    return first;
  }

  #endLeaf(): void {
    this.#above ??= new InteriorLevel(this.#file);
    this.#above.add(this.#file.append(this.#closedLeaf()), this.#rowid);
    this.#cells = 0;
    this.#contentAt = this.#file.usableBytes;
  }

  #closedLeaf(): Buffer {
    const leaf = this.#leaf;
    leaf[0] = LEAF;
    leaf.writeUInt16BE(this.#cells, 3);
    // 65536 does not fit.
    leaf.writeUInt16BE(this.#contentAt % 65_536, 5);
    return leaf;
  }
}
