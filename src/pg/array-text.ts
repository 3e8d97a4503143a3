import {dateToMs, timestampToMs, timeToMs, timetzToMs} from './datetime.ts';

/**
 * PostgreSQL's array output (`{1,NULL,"a,b"}`, any dimension, optional bounds prefix) → JSON text. Elements by `base`:
 * numbers bare, bool as true/false, json inlined, everything else a string (replication.md §2.4).
 */
export const arrayToJson = (text: string, base: string): string => {
  const element = ELEMENTS[base] ?? JSON.stringify;
  // box is the one type whose delimiter is not a comma.
  const delimiter = base === 'box' ? ';' : ',';
  let at = text[0] === '[' ? text.indexOf('=') + 1 : 0;
  let json = '';
  while (at < text.length) {
    const c = text[at]!;
    if (c === '{') {
      json += '[';
      at++;
    } else if (c === '}') {
      json += ']';
      at++;
    } else if (c === delimiter) {
      json += ',';
      at++;
    } else if (c === '"') {
      let value = '';
      for (at++; text[at] !== '"'; at++) {
        if (text[at] === '\\') at++;
        value += text[at];
      }
      at++;
      json += element(value);
    } else {
      const start = at;
      while (at < text.length && text[at] !== delimiter && text[at] !== '}') at++;
      const value = text.slice(start, at);
      json += value === 'NULL' ? 'null' : element(value);
    }
  }
  return json;
};

/** Infinities and NaN as in plain columns (`ColumnCodec`). */
const number = (n: number): string =>
  Number.isFinite(n) ? String(n) : Number.isNaN(n) ? 'null' : n > 0 ? '9.0e+999' : '-9.0e+999';

const ELEMENTS: Readonly<Record<string, (text: string) => string>> = {
  bool: text => (text === 't' ? 'true' : 'false'),
  int2: text => text,
  int4: text => text,
  int8: text => text,
  float4: text => number(Number(text)),
  float8: text => number(Number(text)),
  numeric: text => number(Number(text)),
  date: text => number(dateToMs(text)),
  timestamp: text => number(timestampToMs(text)),
  timestamptz: text => number(timestampToMs(text)),
  time: text => number(timeToMs(text)),
  timetz: text => number(timetzToMs(text)),
  json: text => text,
  jsonb: text => text,
};
