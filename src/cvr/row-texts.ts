import {remembered} from '../flow/remembered.ts';
import type {RowColumns} from './types.ts';

/** Sets of rows as parameters of a statement: four columns and what stands between rows and between sets. */
export type RowTexts = readonly [
  tables: string,
  keys: string,
  rowVersions: string,
  refCounts: string,
  betweenRows: string,
  betweenSets: string,
];

/**
 * Column by column, joined by control characters: PostgreSQL splits a text several times faster than it parses an array,
 * of which every quote would have to be escaped here. JSON holds no raw control characters, and versions none at all; the
 * names of tables may. What is the same in all rows is said once: so a set of 10,000 rows of one query is a third of the
 * bytes. A set that groups share is joined once.
 */
export const rowTexts = (sets: Iterable<RowColumns>): RowTexts => {
  const columns: [string[], string[], string[], string[]] = [[], [], [], []];
  const all = [...sets];
  const [betweenRows, betweenSets] = separatorsFor(all);
  for (const set of all)
    for (const [i, text] of (betweenRows === ROWS ? joined(set) : join(set, betweenRows)).entries())
      columns[i]!.push(text);
  const [tables, keys, rowVersions, refCounts] = columns.map(texts => texts.join(betweenSets));
  return [tables!, keys!, rowVersions!, refCounts!, betweenRows, betweenSets];
};

const ROWS = '\x1f';
const SETS = '\x1e';

const join = ({tables, keys, rowVersions, refCounts}: RowColumns, between: string): readonly string[] => [
  said(tables, between),
  keys.join(between),
  said(rowVersions, between),
  said(refCounts, between),
];

const said = (column: readonly (string | null)[], between: string): string =>
  column.every(text => text === column[0]) ? (column[0] ?? '') : column.join(between);

const joined = remembered((set: RowColumns) => join(set, ROWS));

/** Two control characters that no table has in its name. */
const separatorsFor = (sets: readonly RowColumns[]): readonly [string, string] => {
  const names = new Set<string>();
  for (const {tables} of sets) for (const table of tables) names.add(table);
  const text = [...names].join('');
  if (!text.includes(ROWS) && !text.includes(SETS)) return [ROWS, SETS];
  const free = Array.from({length: 31}, (_, i) => String.fromCharCode(31 - i)).filter(c => !text.includes(c));
  if (free.length < 2) throw new RangeError('the names of the tables hold all control characters');
  return [free[0]!, free[1]!];
};
