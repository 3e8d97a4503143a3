/** A position in PostgreSQL's write-ahead log: `(hi << 32) + lo`, as a bigint. */
export type Lsn = bigint & {readonly brand?: 'Lsn'};

/**
 * A sortable text form of a position: LexiVersion (views.md §1.1). One base-36 digit holding (length − 1), then the
 * number in base 36, so that text order (binary collation) equals numeric order. `0 → "00"`, `36 → "110"`.
 */
export type Version = string & {readonly brand?: 'Version'};

/** The version of "nothing": the lowest of all. */
export const VERSION_ZERO: Version = '00';

/** @throws RangeError if `n` is negative or does not fit in 36 base-36 digits. */
export const lexi = (n: bigint | number): Version => {
  const digits = n.toString(36);
  if (digits[0] === '-' || digits.length > 36) throw new RangeError(`no LexiVersion for ${n}`);
  return (digits.length - 1).toString(36) + digits;
};

const LEXI = /^[0-9a-z]{2,37}$/;

/** @throws RangeError if `version` is not a LexiVersion. */
export const unlexi = (version: Version): bigint => {
  if (!LEXI.test(version) || Number.parseInt(version[0] ?? '', 36) + 2 !== version.length)
    throw new RangeError('not a LexiVersion');
  let n = 0n;
  for (let i = 1; i < version.length; i++) n = n * 36n + BigInt(Number.parseInt(version[i]!, 36));
  return n;
};

/** `"16/B374D848"` → bigint. @throws RangeError on any other shape. */
export const parseLsn = (text: string): Lsn => {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (!match) throw new RangeError('not an LSN');
  return (BigInt(`0x${match[1]}`) << 32n) + BigInt(`0x${match[2]}`);
};

/** bigint → `"16/B374D848"`: upper-case halves without padding, as PostgreSQL prints it. */
export const formatLsn = (lsn: Lsn): string =>
  `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;

export const versionOfLsn = (lsn: Lsn): Version => lexi(lsn);
/** Takes the major part of `major[.minor]`. */
export const lsnOfVersion = (version: Version): Lsn => unlexi(version.split('.', 1)[0]!);
