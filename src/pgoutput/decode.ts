import {StreamUndecodable} from '../errors.ts';
import type {Lsn} from '../pg/lsn.ts';
import type {Relation, Tuple, TupleValue, WalMessage} from './messages.ts';

/** µs between 1970-01-01 and PostgreSQL's epoch, 2000-01-01. */
const PG_EPOCH_US = 946_684_800_000_000n;
const XLOG_HEADER_BYTES = 25;

/**
 * Decodes the frames of one replication connection, protocol version 1, text format. Holds the relations announced so
 * far. Frames without meaning for us (origin, type) give null.
 * @throws StreamUndecodable on an unknown frame or relation.
 */
export class PgoutputDecoder {
  readonly #relations = new Map<number, Relation>();

  decode(frame: Buffer): WalMessage | null {
    const kind = frame[0];
    if (kind === 0x6b /* k */)
      return {
        tag: 'keepalive',
        lsn: frame.readBigUInt64BE(1),
        replyRequested: frame[17] === 1,
        bytes: frame.length,
      };
    if (kind !== 0x77 /* w */)
      throw new StreamUndecodable(`Unknown replication frame 0x${kind?.toString(16)}.`);
    return this.#message(new Reader(frame, XLOG_HEADER_BYTES), frame.length);
  }

  #message(reader: Reader, bytes: number): WalMessage | null {
    const tag = String.fromCharCode(reader.uint8());
    switch (tag) {
      case 'B': {
        const commitLsn = reader.uint64();
        reader.skip(8);
        return {tag: 'begin', commitLsn, xid: reader.uint32(), bytes};
      }
      case 'C': {
        reader.skip(1);
        const commitLsn = reader.uint64();
        reader.skip(8);
        return {
          tag: 'commit',
          commitLsn,
          commitTimeMs: Number((reader.uint64() + PG_EPOCH_US) / 1000n),
          bytes,
        };
      }
      case 'R': {
        const relation = this.#relation(reader);
        this.#relations.set(relation.oid, relation);
        return {tag: 'relation', relation, bytes};
      }
      case 'I': {
        const relation = this.#known(reader.uint32());
        reader.expect('N');
        return {tag: 'change', change: {tag: 'insert', relation, new: reader.tuple()}, bytes};
      }
      case 'U': {
        const relation = this.#known(reader.uint32());
        const old = reader.take('K') || reader.take('O') ? reader.tuple() : null;
        reader.expect('N');
        return {tag: 'change', change: {tag: 'update', relation, old, new: reader.tuple()}, bytes};
      }
      case 'D': {
        const relation = this.#known(reader.uint32());
        if (!reader.take('K')) reader.expect('O');
        return {tag: 'change', change: {tag: 'delete', relation, old: reader.tuple()}, bytes};
      }
      case 'T': {
        const count = reader.uint32();
        reader.skip(1);
        const relations = Array.from({length: count}, () => this.#known(reader.uint32()));
        return {tag: 'change', change: {tag: 'truncate', relations}, bytes};
      }
      case 'M': {
        const transactional = (reader.uint8() & 1) === 1;
        const lsn = reader.uint64();
        // One outside of transactions is decoded at its place: everything that committed before it has been sent.
        if (!transactional) return {tag: 'keepalive', lsn, replyRequested: false, bytes};
        return {tag: 'message', prefix: reader.cstring(), content: reader.copy(reader.uint32()), bytes};
      }
      case 'Y':
      case 'O':
        return null;
      default:
        throw new StreamUndecodable(`Unknown pgoutput message "${tag}".`);
    }
  }

  #relation(reader: Reader): Relation {
    const oid = reader.uint32();
    // pgoutput leaves the schema empty for pg_catalog.
    const schema = reader.cstring() || 'pg_catalog';
    const name = reader.cstring();
    const replicaIdentity = String.fromCharCode(reader.uint8());
    const columns = Array.from({length: reader.uint16()}, () => ({
      isKey: (reader.uint8() & 1) === 1,
      name: reader.cstring(),
      typeOid: reader.uint32(),
      typmod: reader.int32(),
    }));
    return {oid, schema, name, replicaIdentity, columns};
  }

  #known(oid: number): Relation {
    const relation = this.#relations.get(oid);
    if (!relation) throw new StreamUndecodable(`A change of relation ${oid} came before its description.`);
    return relation;
  }
}

class Reader {
  readonly #buffer: Buffer;
  #at: number;

  constructor(buffer: Buffer, at: number) {
    this.#buffer = buffer;
    this.#at = at;
  }

  skip(bytes: number): void {
    this.#at += bytes;
  }
  uint8(): number {
    return this.#buffer.readUInt8(this.#at++);
  }
  uint16(): number {
    this.#at += 2;
    return this.#buffer.readUInt16BE(this.#at - 2);
  }
  uint32(): number {
    this.#at += 4;
    return this.#buffer.readUInt32BE(this.#at - 4);
  }
  int32(): number {
    this.#at += 4;
    return this.#buffer.readInt32BE(this.#at - 4);
  }
  uint64(): Lsn {
    this.#at += 8;
    return this.#buffer.readBigUInt64BE(this.#at - 8);
  }
  /** A frame is valid for a moment only, what is read of it for as long as its transaction takes. */
  copy(length: number): Buffer {
    this.#at += length;
    return Buffer.from(this.#buffer.subarray(this.#at - length, this.#at));
  }
  cstring(): string {
    const end = this.#buffer.indexOf(0, this.#at);
    const text = this.#buffer.toString('utf8', this.#at, end);
    this.#at = end + 1;
    return text;
  }
  /** Consumes the marker byte if it is next. */
  take(marker: string): boolean {
    if (this.#buffer[this.#at] !== marker.charCodeAt(0)) return false;
    this.#at++;
    return true;
  }
  expect(marker: string): void {
    if (!this.take(marker))
      throw new StreamUndecodable(`A tuple marker "${marker}" is missing in the WAL stream.`);
  }
  tuple(): Tuple {
    const count = this.uint16();
    const values: TupleValue[] = new Array(count);
    for (let i = 0; i < count; i++) {
      const kind = this.uint8();
      if (kind === 0x74 /* t */) {
        const length = this.uint32();
        if (this.#at + length > this.#buffer.length)
          throw new StreamUndecodable('A value in the WAL stream is cut short.');
        values[i] = this.#buffer.toString('utf8', this.#at, this.#at + length);
        this.#at += length;
      } else if (kind === 0x6e /* n */) values[i] = null;
      else if (kind === 0x75 /* u */) values[i] = undefined;
      else throw new StreamUndecodable(`Unknown tuple kind 0x${kind.toString(16)}.`);
    }
    return values;
  }
}
