import type {PageFile} from './page-file.ts';
import {putVarintBefore, varintBytes} from './varint.ts';

const INTERIOR = 5;
/** As on a leaf, and the last child (4). */
const HEADER_BYTES = 12;
const LAST_CHILD = 8;
const POINTER_BYTES = 2;
const CHILD_BYTES = 4;

/** A page below and its last rowid. */
interface Child {
  readonly page: number;
  readonly rowid: number;
}

/**
 * A level of a table's b-tree above its leaves. A page has a cell for each child but the last: the child's number, and the
 * last rowid below it. The last child stands in the header.
 */
export class InteriorLevel {
  readonly #file: PageFile;
  /** Of the page that is not full yet: those that have a cell, and the one after them. */
  #children: Child[] = [];
  #last: Child | null = null;
  #freeBytes: number;
  #above: InteriorLevel | null = null;

  constructor(file: PageFile) {
    this.#file = file;
    this.#freeBytes = file.usableBytes - HEADER_BYTES;
  }

  /** Children come in the order of their rowids. */
  add(page: number, rowid: number): void {
    if (this.#last) this.#addCell(this.#last);
    this.#last = {page, rowid};
  }

  /** Closes this level and those above it. There were at least two children. @param root where the topmost page goes. */
  finish(root: number): void {
    const page = this.#page(this.#children, this.#last!);
    if (!this.#above) return this.#file.replace(root, page);
    this.#above.add(this.#file.append(page), this.#last!.rowid);
    this.#above.finish(root);
  }

  #addCell(child: Child): void {
    const bytes = POINTER_BYTES + CHILD_BYTES + varintBytes(child.rowid);
    if (bytes > this.#freeBytes) {
      // The page ends one child earlier, so that the next one has a cell whatever follows: SQLite takes no page without.
      const last = this.#children.pop()!;
      this.#above ??= new InteriorLevel(this.#file);
      this.#above.add(this.#file.append(this.#page(this.#children, last)), last.rowid);
      this.#children = [];
      this.#freeBytes = this.#file.usableBytes - HEADER_BYTES;
    }
    this.#children.push(child);
    this.#freeBytes -= bytes;
  }

  #page(children: readonly Child[], last: Child): Buffer {
    const page = Buffer.alloc(this.#file.pageBytes);
    let contentAt = this.#file.usableBytes;
    children.forEach((child, i) => {
      contentAt = putVarintBefore(page, child.rowid, contentAt) - CHILD_BYTES;
      page.writeUInt32BE(child.page, contentAt);
      page.writeUInt16BE(contentAt, HEADER_BYTES + POINTER_BYTES * i);
    });
    page[0] = INTERIOR;
    page.writeUInt16BE(children.length, 3);
    page.writeUInt16BE(contentAt % 65_536, 5);
    page.writeUInt32BE(last.page, LAST_CHILD);
    return page;
  }
}
