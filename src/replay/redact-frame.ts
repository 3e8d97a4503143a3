import {PgoutputDecoder} from '../pgoutput/decode.ts';
import type {LogicalMessage, Relation, Tuple} from '../pgoutput/messages.ts';

const XLOG_DATA = 0x77; // w
const XLOG_HEADER_BYTES = 25;

export interface FrameMaps {
  /** What a text of a column becomes. */
  readonly text: (relation: Relation, column: number, text: string) => string;
  /** What the announcement of a schema becomes. */
  readonly schema: (message: unknown) => unknown;
}

/**
 * Rewrites the values in frames of one recording, in order; all else stays as it came. Messages that announce no schema
 * hold anything and give null. @throws StreamUndecodable.
 */
export class FrameRewriter {
  readonly #decoder = new PgoutputDecoder();
  readonly #maps: FrameMaps;

  constructor(maps: FrameMaps) {
    this.#maps = maps;
  }

  /** What a frame announces, if it does announce a schema. */
  static schemaMessage(frame: Buffer): unknown {
    if (frame[0] !== XLOG_DATA || frame[XLOG_HEADER_BYTES] !== 0x4d /* M */) return null;
    const message = new PgoutputDecoder().decode(frame);
    return message?.tag === 'message' ? announcementOf(message) : null;
  }

  rewrite(frame: Buffer): Buffer | null {
    const message = this.#decoder.decode(frame);
    if (message?.tag === 'message') return this.#message(frame, message);
    // A message outside of transactions counts for its position alone, but it has a content.
    if (message?.tag === 'keepalive' && frame[0] === XLOG_DATA) return null;
    if (message?.tag !== 'change' || message.change.tag === 'truncate') return frame;
    const {change} = message;
    const tuple = (values: Tuple) =>
      encodeTuple(values, (i, text) => this.#maps.text(change.relation, i, text));
    // Tag and relation, then the marker of what follows: K or O before an old row, N before a new one.
    const head = frame.subarray(0, XLOG_HEADER_BYTES + 5);
    const marker = frame.subarray(XLOG_HEADER_BYTES + 5, XLOG_HEADER_BYTES + 6);
    switch (change.tag) {
      case 'insert':
        return Buffer.concat([head, marker, tuple(change.new)]);
      case 'delete':
        return Buffer.concat([head, marker, tuple(change.old)]);
      case 'update':
        return change.old
          ? Buffer.concat([head, marker, tuple(change.old), Buffer.from('N'), tuple(change.new)])
          : Buffer.concat([head, marker, tuple(change.new)]);
    }
  }

  #message(frame: Buffer, message: LogicalMessage): Buffer | null {
    const announcement = announcementOf(message);
    if (!announcement) return null;
    const content = Buffer.from(JSON.stringify(this.#maps.schema(announcement)));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(content.length);
    // Tag, flags and position; then the prefix with its end.
    const head = frame.subarray(0, XLOG_HEADER_BYTES + 10);
    return Buffer.concat([head, Buffer.from(`${message.prefix}\0`), length, content]);
  }
}

const announcementOf = ({prefix, content}: LogicalMessage): unknown => {
  if (!prefix.endsWith('/ddl')) return null;
  try {
    return JSON.parse(content.toString());
  } catch {
    return null;
  }
};

const encodeTuple = (values: Tuple, map: (column: number, text: string) => string): Buffer => {
  const count = Buffer.alloc(2);
  count.writeUInt16BE(values.length);
  const parts = [count];
  values.forEach((value, i) => {
    if (value === null) parts.push(Buffer.from('n'));
    else if (value === undefined) parts.push(Buffer.from('u'));
    else {
      const bytes = Buffer.from(map(i, value));
      const head = Buffer.from('t\0\0\0\0');
      head.writeUInt32BE(bytes.length, 1);
      parts.push(head, bytes);
    }
  });
  return Buffer.concat(parts);
};
