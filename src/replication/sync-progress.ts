/** What an initial sync tells of itself. */
export interface SyncProgress {
  readonly phase: 'copy' | 'index' | 'done';
  /** Table or index last worked on; empty when done. */
  readonly name: string;
  /** Totals so far over all tables, and PostgreSQL's estimate of all rows (0 = unknown). */
  readonly rows: number;
  readonly bytes: number;
  readonly estimatedRows: number;
  readonly tables: number;
}
