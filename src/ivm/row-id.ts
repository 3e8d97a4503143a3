import {valueText} from '../replica/value-text.ts';
import type {JsonValue} from '../zql/ast.ts';

/** Identity of a row within a worker and in the CVR: table, NUL, then the key object as JSON with sorted columns. */
export type RowId = string & {readonly brand?: 'RowId'};

/** Key columns and their values in wire form, e.g. `{"id":"i1"}`. */
export type RowKey = Readonly<Record<string, JsonValue>>;

/** The one place where a row's identity is made; equal keys give equal text whatever their property order. */
export const rowId = (table: string, key: RowKey): RowId => {
  const fields = Object.keys(key)
    .sort()
    .map(column => `${JSON.stringify(column)}:${valueText(key[column]!)}`);
  return `${table}\0{${fields.join()}}`;
};

export const tableOfRowId = (id: RowId): string => id.slice(0, id.indexOf('\0'));

/** The key object as JSON text, ready for the wire (`id` of a `del`) and for the CVR's `rowKey`. */
export const keyTextOfRowId = (id: RowId): string => id.slice(id.indexOf('\0') + 1);
