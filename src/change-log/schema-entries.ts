import type {PublishedSchema} from '../pg/published-schema.ts';
import type {SchemaChange} from '../pg/schema-diff.ts';
import type {BackfillStep} from '../replication/backfill-step.ts';
import type {SchemaUpdate} from '../replication/schema-update.ts';
import {valueJson} from '../replication/table-applier.ts';

/** A change of the published schema, at its place among the rows: what to do, and what is mirrored from there on. */
export interface SchemaEntry {
  readonly tag: 'schema';
  readonly changes: readonly SchemaChange[];
  readonly schema: PublishedSchema;
}

/** A step of reading a table beside the stream: `end` makes visible what was hidden. */
export type BackfillEntry = BackfillMark | BackfillRows;

interface BackfillHead {
  readonly oid: number;
  /** Position of the snapshot that is read, in decimal digits. */
  readonly asOf: string;
}

interface BackfillMark extends BackfillHead {
  readonly tag: 'backfill-begin' | 'backfill-end';
}

export interface BackfillRows extends BackfillHead {
  readonly tag: 'backfill-rows';
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
}

/** None if the replica had it already. */
export const schemaJson = ({changes, schema}: SchemaUpdate): string[] =>
  changes.length ? [JSON.stringify({tag: 'schema', changes, schema} satisfies SchemaEntry)] : [];

/** None if the applier refused the step. */
export const backfillJson = (step: BackfillStep): string[] => {
  if (step.refused) return [];
  const head = `{"tag":"backfill-${step.tag}","oid":${step.oid},"asOf":"${step.asOf}"`;
  if (step.tag !== 'rows') return [`${head}}`];
  const rows = step.rows.map(row => `[${row.map(valueJson).join()}]`).join();
  return [`${head},"columns":${JSON.stringify(step.columns)},"rows":[${rows}]}`];
};
