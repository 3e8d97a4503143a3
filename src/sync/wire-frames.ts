const TEXT = 0x81; // the last and only frame of a text message
const SHORT = 125;
const LENGTH_16 = 126;

/** Of larger pokes a copy would cost more than it spares. */
const MOST_BYTES = 0xffff;

const made = new WeakMap<readonly Buffer[], Buffer>();

/**
 * Messages as WebSocket frames (RFC 6455 §5.2), one behind the other, made once for all who are sent the same array. A
 * server's frames are not masked, so without compression they are the same for every client. null if they are large.
 */
export const wireFrames = (messages: readonly Buffer[]): Buffer | null => {
  let wire = made.get(messages);
  if (wire) return wire;
  let bytes = 0;
  for (const {length} of messages) bytes += headerBytes(length) + length;
  if (bytes > MOST_BYTES) return null;
  wire = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const message of messages) {
    wire[at] = TEXT;
    if (message.length <= SHORT) wire[at + 1] = message.length;
    else {
      wire[at + 1] = LENGTH_16;
      wire.writeUInt16BE(message.length, at + 2);
    }
    at += headerBytes(message.length);
    at += message.copy(wire, at);
  }
  made.set(messages, wire);
  return wire;
};

const headerBytes = (length: number): number => (length <= SHORT ? 2 : 4);
