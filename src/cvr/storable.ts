import {remembered} from '../flow/remembered.ts';
import type {QueryRecord} from './types.ts';

/** JSON writes them as escapes, with no backslash before that is one itself; PostgreSQL has no text with NUL or half a pair. */
const NEVER_STORED = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/;

const hasNone = (value: unknown): boolean => !NEVER_STORED.test(JSON.stringify(value));
const hasNoneRemembered = remembered(hasNone);

/** Whether PostgreSQL can keep what a client asks for: a text that was cut within an emoji it cannot. */
export const isStorable = ({ast, name, args}: QueryRecord): boolean =>
  ast ? hasNoneRemembered(ast) : hasNone([name, args]);
