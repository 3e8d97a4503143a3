/**
 * SQLite's variable-length integers: seven bits to a byte, the highest first, and the top bit set on all but the last byte
 * (https://www.sqlite.org/fileformat2.html §1.6). Only values below 2^56 are written here, which a ninth byte is not needed
 * for: that one would count eight bits.
 */
export const varintBytes = (value: number): number => {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
};

/** Writes `value` so that it ends before `end`. @returns where it begins. */
export const putVarintBefore = (into: Buffer, value: number, end: number): number => {
  let at = end;
  into[--at] = value % 128;
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128))
    into[--at] = (rest % 128) | 0x80;
  return at;
};
