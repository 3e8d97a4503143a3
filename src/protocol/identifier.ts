/**
 * What clients call themselves, their group and their queries goes into indexes of PostgreSQL, three to an entry, which takes
 * 2,704 bytes. The stock client's have some 20.
 */
const MAX_ID_BYTES = 700;

/** What is wrong with a name that a client gave; null: nothing. */
export const idFault = (id: string, maxBytes = MAX_ID_BYTES): string | null => {
  // PostgreSQL has no text with NUL.
  if (id.includes('\0')) return 'it holds NUL';
  return Buffer.byteLength(id) > maxBytes ? `it is longer than ${maxBytes} bytes` : null;
};
