import type {TimeDigest} from '../observe/time-digest.ts';
import type {Version} from '../pg/lsn.ts';
import type {TableSpec} from '../replica/table-spec.ts';
import type {AST} from '../zql/ast.ts';
import type {PrimaryKeys} from '../zql/plan.ts';
import type {RowId, RowKey} from './row-id.ts';

/** A row as a subscriber must hold it. Objects and their texts are shared by all subscribers: never change one. */
export interface PresentRow {
  readonly id: RowId;
  readonly table: string;
  /** max(`_0_version`, the table's minRowVersion). */
  readonly rowVersion: Version;
  /** JSON text of the row in wire form: every synced column, without `_0_version`. */
  readonly put: string;
}

/** One row's net change of presence or content in one graph between two versions. */
export type RowDiff =
  | {readonly op: 'add' | 'edit'; readonly row: PresentRow}
  | {readonly op: 'remove'; readonly id: RowId; readonly table: string};

/** What one graph emits for one version: at most one entry per row, never empty. */
export interface GraphDiff {
  readonly graph: QueryGraph;
  readonly changes: readonly RowDiff[];
}

/** The step of all graphs of a worker from one version to a later one. */
export interface Epoch {
  readonly from: Version;
  readonly to: Version;
  /** Graphs whose result did not change are absent. */
  readonly diffs: readonly GraphDiff[];
  /** Graphs that can no longer be maintained (an unsafe integer, a dropped column): their subscribers must let go. */
  readonly failed: readonly {readonly graph: QueryGraph; readonly error: Error}[];
  /** True if the replicated schema changed: `registry.tables` is new, client schemas must be checked again. */
  readonly schemaChanged: boolean;
  /** True if the row of `{app}.permissions` changed: client queries must be transformed again. */
  readonly permissionsChanged: boolean;
}

/** One incrementally maintained query, shared by every subscriber with the same transformed AST and keys. */
export interface QueryGraph {
  /** Stable within the worker; for logs and `inspect-pipeline`. */
  readonly id: string;
  /** Canonical text of the transformed AST: the sharing key together with the primary keys. */
  readonly text: string;
  /** Rows present now. */
  readonly size: number;
  has(id: RowId): boolean;
  /** The row as it is at `registry.version`; undefined if it is not present. */
  get(id: RowId): PresentRow | undefined;
  /** All present rows with contents, at `registry.version`. Shared and cached per version: do not keep it across turns. */
  rows(): readonly PresentRow[];
  /** Order-independent digest of the ids of all present rows: equal digest ⇒ the same rows, of whatever contents. */
  rowSet(): string;
  /** What is run: the transformed AST. */
  readonly ast: AST;
  readonly hydrationMs: number;
  /** Of the steps that a change brought it. */
  readonly updateTimes: TimeDigest;
}

/**
 * All query graphs of a sync worker on one timeline: every graph is at `version` whenever no call is on the stack.
 * zql.md §3; views.md §9.2.
 */
export interface QueryRegistry {
  readonly version: Version;
  /** Identity of the initial sync that built the replica. */
  readonly replicaVersion: Version;
  readonly tables: ReadonlyMap<string, TableSpec>;
  /** Somebody waits for the rows of a new graph. */
  readonly isHydrating: boolean;
  /**
   * Finds or builds the graph for a transformed AST (permissions and static parameters already bound) and adds a
   * reference. Hydrates in time slices; when the promise settles the graph has joined `version`.
   * @throws QueryError (code Q…, recovery `reject`) for an unknown table or column, a bad operand, an unsafe value.
   */
  acquire(ast: AST, keys: PrimaryKeys): Promise<QueryGraph>;
  /** Drops one reference. A graph without references lingers, bounded by memory, then goes. */
  release(graph: QueryGraph): void;
  /**
   * Moves every graph to the head of the replica; null if there is nothing new. Synchronous, so that nobody can acquire a
   * graph that is ahead of the epochs delivered: hand the result on in the same turn.
   */
  advance(): Epoch | null;
  /** Contents of one row at `version`, for catch-up; undefined if there is none. */
  readRow(table: string, key: RowKey): PresentRow | undefined;
  /** Permissions as deployed (`{app}.permissions`), at `version`; null if none. Parsed again only when the hash changes. */
  permissionsRow(): {readonly hash: string; readonly json: string} | null;
  close(): void;
}
