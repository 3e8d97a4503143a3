import type {TableSpec} from '../replica/table-spec.ts';
import type {Condition} from './ast.ts';

/** A row must hold a number within these bounds, both included, in `column` to match at all. */
export interface RangeKey {
  readonly column: string;
  /** −Infinity, Infinity: unbounded on that side. */
  readonly from: number;
  readonly to: number;
}

/**
 * The bounds that a condition sets to a numeric column on its AND level; null if there are none (zql.md §3.10). Bounds
 * that the condition excludes are included here: a stored integer may have been rounded to them.
 */
export const rangeKey = (condition: Condition | undefined, table: TableSpec): RangeKey | null => {
  const ranges = new Map<string, RangeKey>();
  const narrow = (part: Condition): void => {
    if (part.type === 'and') return part.conditions.forEach(narrow);
    if (part.type !== 'simple' || part.left.type !== 'column' || part.right.type !== 'literal') return;
    const {value} = part.right;
    const column = part.left.name;
    if (typeof value !== 'number' || !isNumeric(table, column)) return;
    const {from, to} = ranges.get(column) ?? {from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY};
    if (part.op === '>' || part.op === '>=') ranges.set(column, {column, from: Math.max(from, value), to});
    else if (part.op === '<' || part.op === '<=') ranges.set(column, {column, from, to: Math.min(to, value)});
  };
  if (condition) narrow(condition);
  let best: RangeKey | null = null;
  for (const range of ranges.values()) if (!best || width(range) < width(best)) best = range;
  return best;
};

const width = ({from, to}: RangeKey): number => to - from;

const isNumeric = (table: TableSpec, name: string): boolean =>
  table.columns.find(column => column.name === name)?.zqlType === 'number';
