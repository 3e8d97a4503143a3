import {putVarintBefore, varintBytes} from './varint.ts';

/** What the header of a record says of a value (https://www.sqlite.org/fileformat2.html §2.1). */
const NULL = 0;
const INT8 = 1;
const INT16 = 2;
const INT24 = 3;
const INT32 = 4;
const INT48 = 5;
const INT64 = 6;
const DOUBLE = 7;
/** 0 and 1 take no room in the body. */
const ZERO = 8;
const ONE = 9;
/** Of no bytes; each byte more counts two. */
const BLOB = 12;
const TEXT = 13;

const INT64_LIMIT = 2 ** 63;
/** A varint of a type or a size that a row can have. */
const VARINT_BYTES = 5;
const FIRST_BYTES = 4096;

/**
 * A row in SQLite's record format, made value by value: the header, which is the size of itself and a type for each value,
 * and then the values. One record after the other is made in the same memory: the body from a fixed place on, and when it is
 * complete its header in front of it.
 */
export class RecordBuffer {
  /** Valid until the next record is begun. */
  bytes: Buffer;
  /** Where the body goes on. Text may be put here by hand, after `reserve`, and is then closed with `endText`. */
  end: number;
  readonly #bodyAt: number;
  readonly #types: number[] = [];

  /** @param columns how many values a record has at most. */
  constructor(columns: number) {
    // Before the body: the header, and what a page puts before a record.
    this.#bodyAt = VARINT_BYTES * (columns + 1) + 2 * 9;
    this.end = this.#bodyAt;
    this.bytes = Buffer.allocUnsafe(this.#bodyAt + FIRST_BYTES);
  }

  begin(): void {
    this.#types.length = 0;
    this.end = this.#bodyAt;
  }

  /** Makes room for so many bytes more. */
  reserve(bytes: number): void {
    if (this.end + bytes <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.end + bytes, 2 * this.bytes.length));
    this.bytes.copy(larger, 0, 0, this.end);
    this.bytes = larger;
  }

  null(): void {
    this.#types.push(NULL);
  }

  /** A number as columns of numeric and of real affinity hold it: a whole one as an integer. NaN is NULL. */
  number(value: number): void {
    if (Number.isSafeInteger(value)) this.#integer(value);
    else if (Number.isInteger(value) && Math.abs(value) < INT64_LIMIT) this.bigint(BigInt(value));
    else if (Number.isNaN(value)) this.null();
    else this.#double(value);
  }

  /** @throws RangeError beyond 64 bits. */
  bigint(value: bigint): void {
    if (BigInt.asIntN(48, value) === value) return this.#integer(Number(value));
    this.reserve(8);
    this.#put(INT64, this.bytes.writeBigInt64BE(value, this.end));
  }

  text(value: string): void {
    const begin = this.end;
    this.reserve(Buffer.byteLength(value));
    this.end += this.bytes.write(value, begin);
    this.endText(begin);
  }

  /** What was put from `begin` to `end` is a text. */
  endText(begin: number): void {
    this.#types.push(TEXT + 2 * (this.end - begin));
  }

  blob(value: Buffer): void {
    this.reserve(value.length);
    this.end += value.copy(this.bytes, this.end);
    this.#types.push(BLOB + 2 * value.length);
  }

  /** Puts the header in front of the body. @returns where the record begins; it ends at `end`. */
  finish(): number {
    const types = this.#types;
    let at = this.#bodyAt;
    for (let i = types.length - 1; i >= 0; i--) {
      const type = types[i]!;
      // Almost all fit into a byte.
      if (type < 128) this.bytes[--at] = type;
      else at = putVarintBefore(this.bytes, type, at);
    }
    const rest = this.#bodyAt - at;
    // The size counts its own bytes, which may make it one longer.
    let own = varintBytes(rest);
    own = varintBytes(rest + own);
    return putVarintBefore(this.bytes, rest + own, at);
  }

  /** A safe integer, in as few bytes as SQLite takes for it. */
  #integer(value: number): void {
    this.reserve(8);
    const {bytes, end} = this;
    if (value === 0 || value === 1) this.#types.push(value === 0 ? ZERO : ONE);
    else if (value >= -0x80 && value < 0x80) this.#put(INT8, bytes.writeInt8(value, end));
    else if (value >= -0x8000 && value < 0x8000) this.#put(INT16, bytes.writeInt16BE(value, end));
    else if (value >= -0x80_0000 && value < 0x80_0000) this.#put(INT24, bytes.writeIntBE(value, end, 3));
    else if (value >= -0x8000_0000 && value < 0x8000_0000) this.#put(INT32, bytes.writeInt32BE(value, end));
    else if (value >= -(2 ** 47) && value < 2 ** 47) this.#put(INT48, bytes.writeIntBE(value, end, 6));
    else this.#put(INT64, bytes.writeBigInt64BE(BigInt(value), end));
  }

  #double(value: number): void {
    this.reserve(8);
    this.#put(DOUBLE, this.bytes.writeDoubleBE(value, this.end));
  }

  #put(type: number, end: number): void {
    this.#types.push(type);
    this.end = end;
  }
}
