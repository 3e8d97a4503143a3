/** Plain data of a view: no client bookkeeping, keys sorted, absent related rows as null. */
export const plain = (value: unknown): unknown => {
  if (value === undefined || value === null) return null;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object')
    return Object.fromEntries(
      Object.entries(value)
        .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
        .map(([key, inner]) => [key, plain(inner)]),
    );
  return value;
};

/** Where two results differ first, in words, for the message of a failing test. */
export const difference = (got: unknown, wanted: unknown, path = '$'): string | null => {
  if (Array.isArray(got) && Array.isArray(wanted)) {
    for (let i = 0; i < Math.max(got.length, wanted.length); i++) {
      const inner = difference(got[i], wanted[i], `${path}[${i}]`);
      if (inner) return inner;
    }
    return null;
  }
  if (got && wanted && typeof got === 'object' && typeof wanted === 'object') {
    for (const key of new Set([...Object.keys(got), ...Object.keys(wanted)])) {
      const inner = difference(
        (got as Record<string, unknown>)[key],
        (wanted as Record<string, unknown>)[key],
        `${path}.${key}`,
      );
      if (inner) return inner;
    }
    return null;
  }
  return Object.is(got, wanted)
    ? null
    : `${path}: ${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`;
};
