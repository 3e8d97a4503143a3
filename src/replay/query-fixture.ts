import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import * as z from 'zod';
import {FixtureUnusable} from '../errors.ts';
import {astSchema} from '../protocol/ast-schema.ts';
import type {AST} from '../zql/ast.ts';
import {CASE_FILE, FIXTURE_FORMAT, type QueryCase, ROWS_FILE, readJson} from './fixture.ts';
import {readJsonLines} from './lines.ts';

export const TABLES_FILE = 'tables.json';
export const QUERIES_FILE = 'queries.json';
export const TRANSACTIONS_FILE = 'transactions.ndjson';

/** Types are PostgreSQL's names; a `?` at the end makes the column nullable. */
const table = z.object({
  name: z.string(),
  columns: z.record(z.string(), z.string()),
  key: z.array(z.string()),
  uniques: z.array(z.array(z.string())).optional(),
  indexes: z.array(z.array(z.string())).optional(),
});

/** In wire form: booleans and JSON values as such. Missing columns are null. */
const row = z.record(z.string(), z.unknown());

const change = z.discriminatedUnion('op', [
  z.object({op: z.literal('set'), table: z.string(), row}),
  z.object({op: z.literal('delete'), table: z.string(), key: row}),
  z.object({op: z.literal('truncate'), table: z.string()}),
]);

const transaction = z.object({changes: z.array(change), pause: z.boolean().optional()});
const setRow = z.object({op: z.literal('set').optional(), table: z.string(), row});

export type FixtureTable = z.infer<typeof table>;
export type FixtureRow = z.infer<typeof row>;
export type FixtureChange = z.infer<typeof change>;
/** `pause`: the graphs advance only together with the next transaction. */
export type FixtureTransaction = z.infer<typeof transaction>;

/** What a query fixture replays: a database by hand, queries, and the transactions they are maintained over. */
export interface QueryScript {
  readonly tables: readonly FixtureTable[];
  readonly rows: readonly {readonly table: string; readonly row: FixtureRow}[];
  readonly queries: readonly AST[];
  readonly transactions: readonly FixtureTransaction[];
}

/** @throws FixtureUnusable naming the file, and the line if it has lines. */
export const readQueryScript = async (dir: string): Promise<QueryScript> => ({
  tables: read(dir, TABLES_FILE, value => z.array(table).parse(value)),
  queries: read(dir, QUERIES_FILE, value => z.array(astSchema).parse(value)),
  rows: await all(readJsonLines(join(dir, ROWS_FILE), value => setRow.parse(value))),
  transactions: await all(readJsonLines(join(dir, TRANSACTIONS_FILE), value => transaction.parse(value))),
});

/** What property tests hold of a case; assignable to it are their own types. */
export interface WritableScript {
  readonly tables: readonly unknown[];
  readonly rows: readonly object[];
  readonly queries: readonly unknown[];
  readonly transactions: readonly object[];
}

/**
 * Writes a query fixture without expectations: as long as the fault is there, a replay tells it; once it is mended,
 * `fixture-replay --bless` adds them. For shrunken counterexamples of property tests.
 */
export const writeQueryFixture = (dir: string, about: string, script: WritableScript): void => {
  const facts: QueryCase = {format: FIXTURE_FORMAT, kind: 'queries', about};
  mkdirSync(dir, {recursive: true});
  const write = (file: string, text: string) => writeFileSync(join(dir, file), text);
  const lines = (items: readonly object[]) => items.map(item => `${JSON.stringify(item)}\n`).join('');
  write(CASE_FILE, `${JSON.stringify(facts, null, 2)}\n`);
  write(TABLES_FILE, `${JSON.stringify(script.tables, null, 2)}\n`);
  write(QUERIES_FILE, `${JSON.stringify(script.queries, null, 2)}\n`);
  write(ROWS_FILE, lines(script.rows));
  write(TRANSACTIONS_FILE, lines(script.transactions));
};

const read = <T>(dir: string, name: string, parse: (value: unknown) => T): T => {
  const file = join(dir, name);
  const value = readJson(file);
  try {
    return parse(value);
  } catch (error) {
    throw new FixtureUnusable(`${file} is not what the format says; the file is damaged.`, {cause: error});
  }
};

const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
};
