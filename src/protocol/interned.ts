import {LRUCache} from 'lru-cache';
import type {AST} from '../zql/ast.ts';
import type {ClientSchema} from './up.ts';

/** Characters of all texts that one cache holds, and of one. */
const MAX_CHARS = 8 << 20;
const MAX_TEXT = 256 << 10;

/**
 * One object for all equal values, found by their JSON text: what thousands of clients send alike is checked and kept once,
 * and whatever is made of it can be remembered by the object (D-056). Never change one.
 */
export class Interned<T extends object> {
  readonly #byText = new LRUCache<string, T>({
    maxSize: MAX_CHARS,
    maxEntrySize: MAX_TEXT,
    sizeCalculation: (_, text) => text.length,
  });

  /** @param make the object for a value that is new; what it throws is thrown, and nothing is kept. */
  of(value: unknown, make: () => T): T {
    const text = textOf(value);
    let known = this.#byText.get(text);
    if (!known) this.#byText.set(text, (known = make()));
    return known;
  }
}

/** JSON makes the number that `1e999` is the same as null. */
const textOf = (value: unknown): string => {
  const text = JSON.stringify(value);
  return text.includes('null')
    ? JSON.stringify(value, (_, part: unknown) =>
        typeof part === 'number' && !Number.isFinite(part) ? {number: String(part)} : part,
      )
    : text;
};

/** Those of all clients, and of all stored view records. */
export const knownAsts = new Interned<AST>();
export const knownSchemas = new Interned<ClientSchema>();
