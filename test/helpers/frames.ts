/** A frame of XLogData with a pgoutput message that says no more than where its transaction commits. */
export const frame = (tag: 'B' | 'C' | 'I', commit = 0n): Buffer => {
  const bytes = Buffer.alloc(25 + 25);
  bytes[0] = 0x77;
  bytes.write(tag, 25);
  bytes.writeBigUInt64BE(commit, tag === 'C' ? 27 : 26);
  return bytes;
};
