import type {GraphInspection} from '../observe/inspection.ts';
import {exactly} from '../observe/units.ts';
import {readTableSpecs} from '../replica/read-schema.ts';
import {type Snapshot, Timeline} from '../replica/snapshots.ts';
import type {TableSpec} from '../replica/table-spec.ts';
import type {AST} from '../zql/ast.ts';
import type {PrimaryKeys} from '../zql/plan.ts';
import {Graph} from './graph.ts';
import {createIndexText, type MissingIndex} from './missing-index.ts';
import {toEnd} from './operators/take.ts';
import {Routes} from './routes.ts';
import {SharedLevels} from './shared-levels.ts';

/** How a query is answered: plain JSON. Times in ms. */
export interface QueryAnalysis {
  /** Rows that a client would get, by table, and in all. */
  readonly syncedRows: number;
  readonly syncedRowsByTable: Readonly<Record<string, number>>;
  /** Those rows by table, each as JSON text, if they were asked for. */
  readonly rows: Readonly<Record<string, readonly string[]>> | null;
  /** Rows that SQLite looked at to find them, probes of EXISTS included. */
  readonly readRows: number;
  readonly elapsedMs: number;
  readonly ways: GraphInspection['ways'];
  /** From the source down, with SQL, SQLite's plan, rows held and rows looked at. */
  readonly operators: GraphInspection['operators'];
  readonly missingIndexes: readonly (MissingIndex & {readonly statement: string})[];
}

export interface AnalysisOptions {
  /** The client's primary keys; the replica's where they are missing. */
  readonly keys?: PrimaryKeys;
  readonly usePlanner?: boolean;
  readonly withRows?: boolean;
}

/**
 * Answers a query once, as a server would, and tells how. The query must be as it is run: permissions and parameters
 * bound. Nothing is kept. @throws QueryError if it cannot be answered.
 */
export const analyzeQuery = (
  ast: AST,
  snapshot: Snapshot,
  tables: ReadonlyMap<string, TableSpec>,
  {keys = {}, usePlanner = true, withRows = false}: AnalysisOptions = {},
): QueryAnalysis => {
  const graph = new Graph({
    id: 'analysis',
    text: '',
    ast,
    keys,
    routes: new Routes<Graph>(),
    levels: new SharedLevels(snapshot.version, 0),
    usePlanner,
    countVisits: true,
  });
  const started = performance.now();
  const before = snapshot.visits;
  snapshot.visits = graph.visits;
  try {
    toEnd(graph.hydrate(tables, snapshot));
  } finally {
    snapshot.visits = before;
  }
  const elapsedMs = performance.now() - started;
  const {operators, ways} = graph.inspect({snapshot, tables});
  const syncedRowsByTable: Record<string, number> = {};
  const rows: Record<string, string[]> | null = withRows ? {} : null;
  for (const {table, put} of graph.rows()) {
    syncedRowsByTable[table] = (syncedRowsByTable[table] ?? 0) + 1;
    if (rows) (rows[table] ??= []).push(put);
  }
  return {
    syncedRows: graph.size,
    syncedRowsByTable,
    rows,
    readRows: [...graph.visits!.values()].reduce((sum, n) => sum + n, 0),
    elapsedMs,
    ways,
    operators,
    missingIndexes: graph
      .missingIndexes(snapshot, tables)
      .map(index => ({...index, statement: createIndexText(index)})),
  };
};

/** The same for a replica file that need not be served by anything. @throws ReplicaUnusable if it is none. */
export const analyzeReplica = (ast: AST, file: string, options?: AnalysisOptions): QueryAnalysis => {
  const timeline = new Timeline(file);
  try {
    return analyzeQuery(ast, timeline.current, readTableSpecs(timeline.current.db), options);
  } finally {
    timeline.close();
  }
};

/** An analysis as lines of text, for a terminal. */
export const analysisText = (analysis: QueryAnalysis): string => {
  const lines = [
    `${exactly(analysis.syncedRows, 'row')} synced (${Object.entries(analysis.syncedRowsByTable)
      .map(([table, n]) => `${table} ${n}`)
      .join(', ')}), ${exactly(analysis.readRows, 'row')} read, ${analysis.elapsedMs.toFixed(1)} ms`,
    ...analysis.ways.map(
      ({way, cost}, i) => `${i ? 'instead of' : 'way'}: ${way} (about ${Math.round(cost)} rows visited)`,
    ),
  ];
  for (const {depth, operator, rows, keys, plan, rowsRead} of analysis.operators) {
    const pad = '  '.repeat(depth);
    lines.push(
      `${pad}${operator}: ${exactly(rows, 'row')}${keys > 1 ? ` by ${keys} keys` : ''}${rowsRead === null ? '' : `, ${rowsRead} read`}`,
    );
    for (const line of plan ?? []) lines.push(`${pad}    ${line}`);
  }
  for (const {statement, why} of analysis.missingIndexes)
    lines.push(`missing index: ${statement};  -- ${why}`);
  return `${lines.join('\n')}\n`;
};
