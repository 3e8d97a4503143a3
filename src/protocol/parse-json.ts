/** JSON writes half of a surrogate pair, and nothing else of its kind, as an escape. */
const HALF = /\\u[dD][89a-fA-F]/;

/**
 * JSON from a client, with halves of surrogate pairs replaced as UTF-8 does it: a text that was cut within an emoji is no
 * fault of its app, and neither PostgreSQL nor SQLite hold it as it is. @throws SyntaxError
 */
export const parseJson = (text: string): unknown =>
  HALF.test(text)
    ? JSON.parse(text, (_, part: unknown) => (typeof part === 'string' ? Buffer.from(part).toString() : part))
    : JSON.parse(text);
