const DAY_MS = 86_400_000;
const DATE =
  /^(\d{4,7})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?)?)?( BC)?$/;
const TIME = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?)?$/;

const infinity = (text: string): number | undefined =>
  text === 'infinity'
    ? Number.POSITIVE_INFINITY
    : text === '-infinity'
      ? Number.NEGATIVE_INFINITY
      : undefined;

/** ISO text of a `timestamp` or `timestamptz` → ms since the epoch, microseconds as the fraction; ±infinity → ±Infinity. */
export const timestampToMs = (text: string): number => {
  const common = commonTimestamp(text);
  if (common !== null) return common;
  const special = infinity(text);
  if (special !== undefined) return special;
  const m = DATE.exec(text);
  if (!m) throw new RangeError('not a timestamp in ISO style');
  const year = m[12] ? 1 - Number(m[1]) : Number(m[1]);
  const days = daysFromCivil(year, Number(m[2]), Number(m[3]));
  const seconds = Number(m[4] ?? 0) * 3600 + Number(m[5] ?? 0) * 60 + Number(m[6] ?? 0) - offsetSeconds(m, 8);
  // Whole microseconds first and one division at the end, so that every path gives the same bits.
  return ((days * 86_400 + seconds) * 1_000_000 + micros(m[7])) / 1000;
};

/**
 * The shape of nearly every timestamp, `YYYY-MM-DD hh:mm:ss` with an optional fraction and `+hh`, several times faster
 * than the expression; null for any other, which goes the general way.
 */
const commonTimestamp = (text: string): number | null => {
  const {length} = text;
  if (length < 19 || length > 29 || text[4] !== '-' || text[10] !== ' ') return null;
  let end = length;
  let offset = 0;
  const sign = text.charCodeAt(length - 3);
  if (length > 19 && (sign === 43 || sign === 45) /* + - */) {
    end -= 3;
    offset = twoDigits(text, end + 1) * (sign === 45 ? -3600 : 3600);
  }
  let fraction = 0;
  if (end > 19) {
    if (text[19] !== '.' || end > 26) return null;
    for (let i = 20; i < 26; i++) {
      const digit = i < end ? text.charCodeAt(i) - 48 : 0;
      if (digit < 0 || digit > 9) return null;
      fraction = fraction * 10 + digit;
    }
  }
  const days = daysFromCivil(
    twoDigits(text, 0) * 100 + twoDigits(text, 2),
    twoDigits(text, 5),
    twoDigits(text, 8),
  );
  const seconds =
    twoDigits(text, 11) * 3600 + twoDigits(text, 14) * 60 + twoDigits(text, 17) - offset + days * 86_400;
  return Number.isNaN(seconds) ? null : (seconds * 1_000_000 + fraction) / 1000;
};

/** NaN if they are none. */
const twoDigits = (text: string, at: number): number => {
  const tens = text.charCodeAt(at) - 48;
  const ones = text.charCodeAt(at + 1) - 48;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
};

/** ISO text of a `date` → ms since the epoch at UTC midnight. */
export const dateToMs = timestampToMs;

/** `time` → whole ms since midnight; `24:00:00` → 86400000. */
export const timeToMs = (text: string): number => {
  const m = TIME.exec(text);
  if (!m) throw new RangeError('not a time');
  return (Number(m[1]) * 3600 + Number(m[2]) * 60 + Number(m[3])) * 1000 + Math.trunc(micros(m[4]) / 1000);
};

/** `timetz` → whole ms since UTC midnight, wrapped into one day. */
export const timetzToMs = (text: string): number => {
  const m = TIME.exec(text);
  if (!m) throw new RangeError('not a time');
  return (((timeToMs(text) - offsetSeconds(m, 5) * 1000) % DAY_MS) + DAY_MS) % DAY_MS;
};

const micros = (fraction: string | undefined): number => (fraction ? Number(fraction.padEnd(6, '0')) : 0);

const offsetSeconds = (m: RegExpExecArray, at: number): number => {
  if (!m[at]) return 0;
  const seconds = Number(m[at + 1]) * 3600 + Number(m[at + 2] ?? 0) * 60 + Number(m[at + 3] ?? 0);
  return m[at] === '-' ? -seconds : seconds;
};

/** Days since 1970-01-01 in the proleptic Gregorian calendar; `Date` cannot hold all of PostgreSQL's years. */
const daysFromCivil = (year: number, month: number, day: number): number => {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  return (
    era * 146_097 +
    yearOfEra * 365 +
    Math.floor(yearOfEra / 4) -
    Math.floor(yearOfEra / 100) +
    dayOfYear -
    719_468
  );
};
