import {remembered} from '../flow/remembered.ts';
import type {QueryRecord} from './types.ts';

/** As JSON writes it, with no backslash before that is one itself. */
const NUL = /(?<!\\)(?:\\\\)*\\u0000/;

const hasNone = (value: unknown): boolean => !NUL.test(JSON.stringify(value));
const hasNoneRemembered = remembered(hasNone);

/** Whether PostgreSQL can keep what a client asks for: it has no text with NUL. */
export const isStorable = ({ast, name, args}: QueryRecord): boolean =>
  ast ? hasNoneRemembered(ast) : hasNone([name, args]);
