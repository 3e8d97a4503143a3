import {setTimeout as wait} from 'node:timers/promises';
import {Observable} from 'rxjs';
import type {Log} from '../observe/log.ts';
import {type CopiedRows, copyTable} from '../pg/copy-table.ts';
import {lockAsSeen} from '../pg/lock-as-seen.ts';
import type {PublishedSchema, PublishedTable} from '../pg/published-schema.ts';
import {identityKey, liteTableName} from '../pg/published-schema.ts';
import {readPublishedSchema} from '../pg/read-published-schema.ts';
import {snapshotAt} from '../pg/snapshot-at.ts';
import type {BackfillJob, BackfillJobs} from '../replica/backfill-jobs.ts';
import type {SqliteValue} from '../replica/table-spec.ts';
import type {BackfillStep} from './backfill-step.ts';
import type {SchemaTracker} from './schema-tracker.ts';
import {ChainEnded, type SideChannel} from './side-channel.ts';

export interface FillTablesDeps {
  readonly url: string;
  readonly publications: readonly string[];
  /** The shard's own slot; temporary ones are named after it. */
  readonly slot: string;
  readonly tracker: SchemaTracker;
  readonly jobs: BackfillJobs;
  readonly side: SideChannel;
  readonly log: Log;
  /** Resolves as soon as the chain has room for more. */
  readonly room: () => Promise<void>;
}

const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 60_000;

/**
 * Reads what the replica is to have and the stream does not bring (replication.md §4.5): one table after the other, each
 * from a snapshot of known position, once the stream has come that far. Memory is bounded by a network chunk. What fails
 * or becomes outdated is tried again; what a crash interrupts is still noted in the replica. Never emits.
 */
export const fillTables = (deps: FillTablesDeps): Observable<never> =>
  new Observable(() => {
    const stop = new AbortController();
    void run(deps, stop.signal);
    return () => stop.abort();
  });

const run = async (deps: FillTablesDeps, signal: AbortSignal): Promise<void> => {
  let retryMs = FIRST_RETRY_MS;
  let turn = 0;
  while (!signal.aborted) {
    await deps.jobs.some();
    if (signal.aborted) return;
    const jobs = deps.jobs.all();
    // In turns, so that a table that cannot be read does not hold up the others.
    const job = jobs[turn++ % jobs.length];
    if (!job) continue;
    const {generation} = deps.tracker;
    try {
      const filled = await fill(deps, job, signal);
      retryMs = FIRST_RETRY_MS;
      if (!filled) await wait(FIRST_RETRY_MS, undefined, {signal});
    } catch (err) {
      if (signal.aborted || err instanceof ChainEnded) return;
      deps.log.warn({err}, `table ${job.table} could not be read; trying again in ${retryMs} ms`);
      await wait(retryMs, undefined, {signal}).catch(() => {});
      // A schema change in the middle of it is no reason to be patient.
      retryMs = deps.tracker.generation === generation ? Math.min(retryMs * 2, MAX_RETRY_MS) : FIRST_RETRY_MS;
    }
  }
};

/** False if the table changed meanwhile, so that it must be read again. */
const fill = async (deps: FillTablesDeps, job: BackfillJob, signal: AbortSignal): Promise<boolean> => {
  const {side, log} = deps;
  const started = Date.now();
  const snapshot = await snapshotAt(deps.url, `${deps.slot}_bf_${started}`, signal);
  let complete = false;
  try {
    const upstream = await readPublishedSchema(snapshot.client, deps.publications);
    await side.reached(snapshot.asOf);
    const table = sameTable(deps.tracker, upstream, job.oid);
    if (!table || !(await lockAsSeen(snapshot.client, table))) return false;
    const columns = wantedColumns(deps, table);
    let rows = 0;
    const push = async (
      step:
        | {tag: 'begin' | 'end'}
        | {tag: 'rows'; columns: string[]; rows: readonly (readonly SqliteValue[])[]},
      bytes: number,
    ) => {
      await deps.room();
      signal.throwIfAborted();
      const whole: BackfillStep = {oid: table.oid, asOf: snapshot.asOf, refused: false, ...step};
      await side.push({kind: 'backfill', step: whole, bytes});
      return !whole.refused;
    };
    if (!(await push({tag: 'begin'}, 0))) return false;
    const names = columns.map(column => column.name);
    for await (const chunk of copyTable(snapshot.client, {...table, columns})) {
      rows += chunk.rows;
      const step = {tag: 'rows' as const, columns: names, rows: inRows(chunk)};
      if (!(await push(step, chunk.bytes))) return false;
    }
    complete = true;
    if (!(await push({tag: 'end'}, 0))) return false;
    log.info(
      {rows, ms: Date.now() - started, columns: job.refill ? undefined : job.hidden},
      `read table ${liteTableName(table)} beside the stream`,
    );
    return true;
  } finally {
    // A COPY that was given up would have to be read to its end.
    if (complete) await snapshot.client.end().catch(() => {});
    else snapshot.client.connection.stream.destroy();
  }
};

const inRows = ({values, rows}: CopiedRows): (readonly SqliteValue[])[] => {
  const width = values.length / rows;
  return Array.from({length: rows}, (_, i) => values.slice(i * width, (i + 1) * width));
};

/** The mirrored table, if upstream's had the same shape in the snapshot; null if either is ahead of the other. */
const sameTable = (tracker: SchemaTracker, upstream: PublishedSchema, oid: number): PublishedTable | null => {
  const mirrored = tracker.table(oid);
  const there = upstream.tables.find(table => table.oid === oid);
  return mirrored && there && shapeOf(mirrored) === shapeOf(there) ? there : null;
};

const shapeOf = ({
  schema,
  name,
  columns,
  replicaIdentity,
  primaryKey,
  publications,
}: PublishedTable): string =>
  JSON.stringify([
    schema,
    name,
    replicaIdentity,
    primaryKey,
    Object.entries(publications).map(([publication, {filterDigest}]) => [publication, filterDigest]),
    columns.map(column => [column.name, column.pos, column.dataType, column.typeOid]),
  ]);

const wantedColumns = (deps: FillTablesDeps, table: PublishedTable): PublishedTable['columns'] => {
  const key = identityKey(deps.tracker.schema, table);
  const job = deps.jobs.get(table.oid);
  if (!job || job.refill || !key.length) return table.columns;
  const wanted = new Set([...key, ...job.hidden]);
  return table.columns.filter(column => wanted.has(column.name));
};
