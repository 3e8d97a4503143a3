const MAX_BYTES = 123;

/** Cuts a close reason to what a WebSocket close frame can carry, at a character boundary. */
export const closeReason = (text: string): string => {
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_BYTES) return text;
  let end = MAX_BYTES;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
};
