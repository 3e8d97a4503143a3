/** `1234567` → `1.2 MB`. */
export const bytesText = (bytes: number): string => {
  for (const [limit, divisor, unit] of SIZES)
    if (bytes < limit) return `${(bytes / divisor).toFixed(divisor === 1 ? 0 : 1)} ${unit}`;
  return `${(bytes / 1024 ** 4).toFixed(1)} TB`;
};

const SIZES = [
  [1024, 1, 'B'],
  [1024 ** 2, 1024, 'kB'],
  [1024 ** 3, 1024 ** 2, 'MB'],
  [1024 ** 4, 1024 ** 3, 'GB'],
] as const;

/** `1234` → `1.2k`. */
export const countText = (count: number): string => {
  if (count < 10 && !Number.isInteger(count)) return count.toFixed(1);
  if (count < 10_000) return String(Math.round(count));
  return count < 10_000_000 ? `${(count / 1000).toFixed(1)}k` : `${(count / 1_000_000).toFixed(1)}M`;
};

/** `1 row`, `2 rows`, `1.2k rows`. */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${countText(count)} ${count === 1 ? one : many}`;

/** `1 row`, `2 rows`, `1234567 rows`. */
export const exactly = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

export const durationText = (ms: number): string => {
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
};

export const percentText = (share: number): string =>
  `${share > 0 && share < 0.01 ? '<1' : Math.round(share * 100)} %`;
