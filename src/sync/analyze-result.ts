import type {QueryAnalysis} from '../ivm/explain.ts';
import type {JsonValue} from '../zql/ast.ts';

/** What the client's inspector expects of an analysis (views.md §8.1). Times in ms; rows by table. */
export interface AnalyzeResult {
  readonly warnings: readonly string[];
  readonly syncedRows?: Readonly<Record<string, readonly JsonValue[]>>;
  readonly syncedRowCount: number;
  /** Wall clock. */
  readonly start: number;
  readonly end: number;
  readonly elapsed: number;
  /** Rows that operators took, by table and SQL; and rows that SQLite looked at for them. */
  readonly readRowCountsByQuery: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly readRowCount: number;
  readonly dbScansByQuery: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly sqlitePlans: Readonly<Record<string, readonly string[]>>;
}

export interface AnalyzeOptions {
  readonly syncedRows?: boolean | undefined;
  readonly vendedRows?: boolean | undefined;
  readonly joinPlans?: boolean | undefined;
}

/** @param end wall clock at which the analysis was made. */
export const analyzeResult = (
  analysis: QueryAnalysis,
  {syncedRows = true, vendedRows = false}: AnalyzeOptions,
  end: number,
): AnalyzeResult => {
  const taken: Record<string, Record<string, number>> = {};
  const looked: Record<string, Record<string, number>> = {};
  const plans: Record<string, readonly string[]> = {};
  let readRowCount = 0;
  for (const {operator, sql, plan, rows, rowsRead} of analysis.operators) {
    if (sql === null) continue;
    // `source issue`: what it does, and with which table.
    const table = operator.slice(operator.indexOf(' ') + 1);
    add(taken, table, sql, rows);
    add(looked, table, sql, rowsRead ?? 0);
    readRowCount += rows;
    if (plan) plans[sql] = plan;
  }
  return {
    warnings: [
      ...analysis.missingIndexes.map(({statement, why}) => `${statement} would help: ${why}`),
      ...analysis.ways.map(
        ({way, cost}, i) =>
          `${i ? 'instead of' : 'way taken'}: ${way} (about ${Math.round(cost)} rows visited)`,
      ),
      ...(vendedRows ? ['Rows that were read but not synced are counted, not listed.'] : []),
    ],
    ...(syncedRows && analysis.rows ? {syncedRows: parsed(analysis.rows)} : {}),
    syncedRowCount: analysis.syncedRows,
    start: end - analysis.elapsedMs,
    end,
    elapsed: analysis.elapsedMs,
    readRowCountsByQuery: taken,
    readRowCount,
    dbScansByQuery: looked,
    sqlitePlans: plans,
  };
};

const add = (counts: Record<string, Record<string, number>>, table: string, sql: string, n: number): void => {
  const own = (counts[table] ??= {});
  own[sql] = (own[sql] ?? 0) + n;
};

const parsed = (rows: NonNullable<QueryAnalysis['rows']>): Record<string, readonly JsonValue[]> =>
  Object.fromEntries(
    Object.entries(rows).map(([table, texts]) => [table, texts.map(text => JSON.parse(text) as JsonValue)]),
  );
