import {boolean, createSchema, json, number, string, table} from '@rocicorp/zero';
import type {PageTable} from '../page-facts.ts';

const TYPES = {
  string: () => string(),
  number: () => number(),
  boolean: () => boolean(),
  json: () => json(),
} as const;

/** The client's schema for tables that are known only now. */
export const tableSchema = (tables: readonly PageTable[]) =>
  createSchema({
    tables: tables.map(({name, key, columns}) =>
      table(name)
        .columns(Object.fromEntries(columns.map(column => [column.name, columnOf(column)])))
        .primaryKey(...(key as readonly [string, ...string[]])),
    ),
    enableLegacyQueries: true,
  });

const columnOf = ({type, optional}: PageTable['columns'][number]) => {
  const column = TYPES[type]();
  return optional ? column.optional() : column;
};

export type TableSchema = ReturnType<typeof tableSchema>;
