/**
 * The leaves of a JSON object by path (`change.new.title`), each as its own text: unlike parsing, this keeps apart what
 * JavaScript would round or unify. Arrays are leaves.
 */
export const jsonFields = (text: string, prefix = ''): Map<string, string> => {
  const fields = new Map<string, string>();
  let at = skipSpace(text, 1);
  while (text[at] === '"') {
    const nameEnd = endOfString(text, at);
    const path = prefix + (JSON.parse(text.slice(at, nameEnd)) as string);
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = endOfValue(text, start);
    const value = text.slice(start, end);
    if (value[0] === '{' && value !== '{}')
      for (const [inner, leaf] of jsonFields(value, `${path}.`)) fields.set(inner, leaf);
    else fields.set(path, value);
    at = skipSpace(text, end);
    if (text[at] !== ',') break;
    at = skipSpace(text, at + 1);
  }
  return fields;
};

const skipSpace = (text: string, from: number): number => {
  let at = from;
  while (text[at] === ' ') at++;
  return at;
};

const endOfString = (text: string, start: number): number => {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
};

const endOfValue = (text: string, start: number): number => {
  let depth = 0;
  let at = start;
  while (at < text.length) {
    const c = text[at]!;
    if (c === '"') {
      at = endOfString(text, at);
      if (depth === 0) return at;
      continue;
    }
    if (c === '{' || c === '[') depth++;
    else if (c === '}' || c === ']') {
      if (depth === 0) return at;
      if (--depth === 0) return at + 1;
    } else if (c === ',' && depth === 0) return at;
    at++;
  }
  return at;
};
