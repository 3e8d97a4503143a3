import {z} from 'zod';
import {SchemaChanged} from '../errors.ts';
import type {CatalogReader, CatalogState} from '../pg/catalog.ts';
import {formatLsn, type Lsn, parseLsn} from '../pg/lsn.ts';
import type {PublishedSchema} from '../pg/published-schema.ts';
import {TransactionSnapshot} from '../pg/transaction-snapshot.ts';
import type {Batch} from '../replication/batch.ts';
import {schemaUpdate} from '../replication/schema-update.ts';
import {copied, copiedValue, restored} from './copy-replica.ts';

/** What reached a replica beside the stream, as a line of `asides.ndjson`, with its place among the transactions. */
export const asideLine = (batch: Batch, after: Lsn): string => {
  const place = `"after":"${formatLsn(after)}"`;
  if (batch.kind === 'schema') {
    const {schema, seen, created} = batch.update;
    return `{"aside":${JSON.stringify({kind: 'schema', schema, seen: seen?.text ?? null, created: [...created]})},${place}}`;
  }
  if (batch.kind !== 'backfill')
    throw new TypeError(`a batch of kind ${batch.kind} is not beside the stream`);
  const {step} = batch;
  const head = `"kind":"backfill","tag":"${step.tag}","oid":${step.oid},"asOf":"${formatLsn(step.asOf)}"`;
  if (step.tag !== 'rows') return `{"aside":{${head}},${place}}`;
  const rows = step.rows.map(row => `[${row.map(copied).join()}]`).join();
  return `{"aside":{${head},"columns":${JSON.stringify(step.columns)},"rows":[${rows}]},${place}}`;
};

/** A catalog that had to be read to understand the transaction that commits at `before`. */
export const catalogLine = ({schema, snapshot, lsn}: CatalogState, before: Lsn): string =>
  `{"catalog":${JSON.stringify({schema, snapshot: snapshot.text, lsn: formatLsn(lsn)})},"before":"${formatLsn(before)}"}`;

export type Aside =
  | {readonly batch: Batch; readonly after: Lsn}
  | {readonly state: CatalogState; readonly before: Lsn};

const schema = z.custom<PublishedSchema>(value =>
  Array.isArray((value as {tables?: unknown} | null)?.tables),
);
const backfill = {kind: z.literal('backfill'), oid: z.number(), asOf: z.string()};

const line = z.union([
  z.object({
    after: z.string(),
    aside: z.union([
      z.object({
        kind: z.literal('schema'),
        schema,
        seen: z.string().nullable(),
        created: z.array(z.number()),
      }),
      z.object({
        ...backfill,
        tag: z.literal('rows'),
        columns: z.array(z.string()),
        rows: z.array(z.array(copiedValue)),
      }),
      z.object({...backfill, tag: z.enum(['begin', 'end'])}),
    ]),
  }),
  z.object({before: z.string(), catalog: z.object({schema, snapshot: z.string(), lsn: z.string()})}),
]);

/** @throws ZodError, RangeError if it is something else. */
export const parseAside = (value: unknown): Aside => {
  const parsed = line.parse(value);
  if ('catalog' in parsed) {
    const {catalog, before} = parsed;
    return {
      before: parseLsn(before),
      state: {
        schema: catalog.schema,
        snapshot: new TransactionSnapshot(catalog.snapshot),
        lsn: parseLsn(catalog.lsn),
      },
    };
  }
  const after = parseLsn(parsed.after);
  const {aside} = parsed;
  if (aside.kind === 'schema') {
    const seen = aside.seen === null ? null : new TransactionSnapshot(aside.seen);
    return {
      after,
      batch: {
        kind: 'schema',
        update: schemaUpdate(aside.schema, seen, {created: new Set(aside.created)}),
        bytes: 0,
      },
    };
  }
  const step = {oid: aside.oid, asOf: parseLsn(aside.asOf), refused: false};
  return {
    after,
    batch: {
      kind: 'backfill',
      bytes: 0,
      step:
        aside.tag === 'rows'
          ? {...step, tag: 'rows', columns: aside.columns, rows: aside.rows.map(row => row.map(restored))}
          : {...step, tag: aside.tag},
    },
  };
};

/** Gives the catalogs of a recording in the order in which they were read. */
export class RecordedCatalog implements CatalogReader {
  readonly #states: CatalogState[] = [];

  add(state: CatalogState): void {
    this.#states.push(state);
  }

  async read(): Promise<CatalogState> {
    const state = this.#states.shift();
    if (!state) throw new SchemaChanged('A replay wants a catalog that was not read while recording.');
    return state;
  }
}
