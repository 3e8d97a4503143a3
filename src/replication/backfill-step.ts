import type {Lsn} from '../pg/lsn.ts';
import type {SqliteValue} from '../replica/table-spec.ts';

/** One step of reading a table beside the stream (replication.md §4.5). Applied in a transaction of its own. */
export type BackfillStep = {
  readonly oid: number;
  /** The rows are those of a snapshot that holds every commit up to here and none after. */
  readonly asOf: Lsn;
  /** Set by the applier if the rows were of no use, because the table changed since `asOf`: read it again. */
  refused: boolean;
} & (
  | {readonly tag: 'begin'}
  | {
      readonly tag: 'rows';
      /** Names of the values, key columns included. */
      readonly columns: readonly string[];
      readonly rows: readonly (readonly SqliteValue[])[];
    }
  | {readonly tag: 'end'}
);
