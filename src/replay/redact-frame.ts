import {PgoutputDecoder} from '../pgoutput/decode.ts';
import type {Relation, Tuple} from '../pgoutput/messages.ts';

const XLOG_HEADER_BYTES = 25;
const XLOG_DATA = 0x77; // w
const MESSAGE = 0x4d; // M

/** What a text of a column becomes. */
export type MapText = (relation: Relation, column: number, text: string) => string;

/**
 * Rewrites the values in frames of one recording, in order; all else stays as it came. Frames of
 * `pg_logical_emit_message` hold anything and give null. @throws StreamUndecodable.
 */
export class FrameRewriter {
  readonly #decoder = new PgoutputDecoder();

  rewrite(frame: Buffer, map: MapText): Buffer | null {
    if (frame[0] === XLOG_DATA && frame[XLOG_HEADER_BYTES] === MESSAGE) return null;
    const message = this.#decoder.decode(frame);
    if (message?.tag !== 'change' || message.change.tag === 'truncate') return frame;
    const {change} = message;
    const tuple = (values: Tuple) => encodeTuple(values, (i, text) => map(change.relation, i, text));
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
}

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
