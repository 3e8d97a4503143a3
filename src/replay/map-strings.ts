/** Replaces one string by another. */
export type Word = (word: string) => string;

/** What of a column's text holds strings. */
export type Strings = 'none' | 'text' | 'bytea' | 'json' | {readonly arrayOf: 'text' | 'json'};

/** Replaces the strings in PostgreSQL's text of a value; whatever else it holds stays. */
export const mapStrings = (strings: Strings, text: string, word: Word): string => {
  if (strings === 'none') return text;
  if (strings === 'text') return word(text);
  if (strings === 'bytea') return `\\x${Buffer.from(word(text)).toString('hex')}`;
  if (strings === 'json') return mapJson(text, word);
  const {arrayOf} = strings;
  return mapArray(text, element => (arrayOf === 'json' ? mapJson(element, word) : word(element)));
};

const JSON_STRING = /"(?:[^"\\]|\\.)*"(\s*:)?/g;

/** Strings that are values; names of properties stay. */
const mapJson = (text: string, word: Word): string =>
  text.replaceAll(JSON_STRING, (found, colon: string | undefined) =>
    colon === undefined ? JSON.stringify(word(JSON.parse(found) as string)) : found,
  );

// In turn: a quoted element, a NULL, a bare element.
const ELEMENT = /"((?:[^"\\]|\\.)*)"|NULL(?=[,}])|[^{},"]+/g;

/** Elements of an array of any dimension; bounds before it stay. */
const mapArray = (text: string, element: Word): string => {
  const start = text[0] === '[' ? text.indexOf('=') + 1 : 0;
  return (
    text.slice(0, start) +
    text.slice(start).replaceAll(ELEMENT, (found, quoted: string | undefined) => {
      if (found === 'NULL') return found;
      const value = quoted === undefined ? found : quoted.replaceAll(/\\(.)/gs, '$1');
      return `"${element(value).replaceAll(/["\\]/g, '\\$&')}"`;
    })
  );
};
