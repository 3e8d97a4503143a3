import type {SqliteValue} from '../replica/table-spec.ts';

/** SQL text with its bound parameters in the order of their `?`. */
export interface Fragment {
  readonly sql: string;
  readonly params: readonly SqliteValue[];
}

export const fragment = (sql: string, ...params: SqliteValue[]): Fragment => ({sql, params});

export const TRUE = fragment('1');
export const FALSE = fragment('0');

export const join = (parts: readonly Fragment[], separator: string): Fragment => ({
  sql: parts.map(part => part.sql).join(separator),
  params: parts.flatMap(part => part.params),
});

export const wrap = (before: string, part: Fragment, after: string): Fragment => ({
  sql: before + part.sql + after,
  params: part.params,
});
