/**
 * JSON text of a value. Infinities become numbers that every parser reads as such, where JSON.stringify would write null;
 * SQLite writes them in the same way.
 */
export const valueText = (value: unknown): string =>
  typeof value === 'bigint' || value === undefined
    ? String(value ?? null)
    : value === Number.POSITIVE_INFINITY
      ? '9.0e+999'
      : value === Number.NEGATIVE_INFINITY
        ? '-9.0e+999'
        : JSON.stringify(value);
