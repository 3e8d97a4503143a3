import {closeSync, fsyncSync, mkdirSync, openSync, renameSync} from 'node:fs';
import {dirname} from 'node:path';
import type {Database} from 'better-sqlite3';
import type pg from 'pg';
import {
  catchError,
  concat,
  concatMap,
  defer,
  endWith,
  finalize,
  from,
  ignoreElements,
  map,
  merge,
  mergeMap,
  type Observable,
  takeWhile,
  tap,
} from 'rxjs';
import {shardName, type ZeroConfig} from '../src/config/config.ts';
import {DiskFull, ReplicaUnwritable, SyncInterrupted} from '../src/errors.ts';
import {drain} from '../src/flow/drain.ts';
import {type StageBoard, stages} from '../src/flow/stage.ts';
import type {Log} from '../src/observe/log.ts';
import {copyBlocks} from '../src/pg/copy-table.ts';
import {readPublicationOids} from '../src/pg/publication-oids.ts';
import {liteTableName, type PublishedSchema, type PublishedTable} from '../src/pg/published-schema.ts';
import {readPublishedSchema} from '../src/pg/read-published-schema.ts';
import {dropOlderReplicas, markUsable} from '../src/pg/replica-rows.ts';
import {schemaLimits} from '../src/pg/schema-limits.ts';
import {type SlotHealth, slotHealth} from '../src/pg/slot.ts';
import {slotDanger} from '../src/pg/slot-state.ts';
import {interrupted, openSnapshot, type SnapshotSession} from '../src/pg/snapshot-session.ts';
import {watchSlot} from '../src/pg/watch-slot.ts';
import {replicaError} from '../src/replica/classify-error.ts';
import {CopiedTable} from '../src/replica/copied-table.ts';
import {createIndex, createTable} from '../src/replica/create-table.ts';
import {createMetadataTables, initReplicaState} from '../src/replica/metadata.ts';
import {deleteReplica, finishBulk, openBulkWriter} from '../src/replica/open.ts';
import {storeSchema} from '../src/replica/stored-schema.ts';
import type {SyncContext} from '../src/replica/sync-context.ts';
import type {SyncProgress} from '../src/replication/sync-progress.ts';
import {PageFile, readRoots} from '../src/sqlite-file/page-file.ts';

export interface InitialSyncDeps {
  readonly config: ZeroConfig;
  readonly log: Log;
  readonly board: StageBoard;
}

/** Everything a sync holds open. */
interface Sync {
  readonly session: SnapshotSession;
  readonly schema: PublishedSchema;
  /** Where rows go, while SQLite does not have the file open. */
  readonly pages: PageFile;
  /** First page of each table by its name. */
  readonly roots: ReadonlyMap<string, number>;
  /** Opened when all rows are there. */
  db: Database | null;
  readonly tempFile: string;
  readonly context: SyncContext;
  readonly estimatedRows: number;
  readonly workers: readonly pg.Client[];
  readonly copied: {rows: number; bytes: number};
}

/**
 * Builds a replica in a temporary file and renames it when it is complete: an interrupted sync never looks like a
 * replica (replication.md §2). Slot snapshot → tables copied in parallel → indexes → ANALYZE → rename. Unsubscribing or
 * failing drops the slot and the file, before the error is passed on.
 * @throws UpstreamUnreachable, UpstreamUnfit, PublicationUnfit, SyncInterrupted, ReplicaUnwritable.
 */
export const initialSync = ({config, log, board}: InitialSyncDeps): Observable<SyncProgress> => {
  const stage = stages(board, 'initial-sync');
  return defer(() => {
    let sync: Sync | null = null;
    let unsubscribed = false;
    const end = async (complete: boolean) => {
      const ending = sync;
      sync = null;
      if (!ending) return;
      ending.pages.close();
      ending.db?.close();
      if (complete) return ending.session.close();
      deleteReplica(ending.tempFile);
      await ending.session.discard();
    };
    const opening = openSession(config, log).then(opened => {
      sync = opened;
      if (unsubscribed) void end(false);
      return opened;
    });
    return from(opening).pipe(
      concatMap(opened => {
        const budget = watchSlot(opened.session.client, opened.context.slot, WATCH_EVERY_MS).pipe(
          tap(budgetWatch(opened.context.slot, log)),
          ignoreElements(),
        );
        const steps = concat(
          from(copyOrder(opened.schema)).pipe(stage('copy', copyTables(opened))),
          defer(() => {
            const db = handOver(opened);
            return from(opened.schema.indexes).pipe(
              stage(
                'index',
                map(index => {
                  createIndex(db, index);
                  return progress(opened, 'index', index.name);
                }),
              ),
            );
          }),
          defer(async () => {
            await publish(opened, config);
            await end(true);
            return progress(opened, 'done', '');
          }),
        );
        return merge(steps.pipe(endWith(null)), budget).pipe(takeWhile(step => step !== null));
      }),
      catchError(async (error: unknown): Promise<SyncProgress> => {
        await end(false);
        throw unwritable(replicaError(error) ?? interrupted(error));
      }),
      finalize(() => {
        unsubscribed = true;
        void end(false);
      }),
    );
  });
};

const WATCH_EVERY_MS = 2000;
const WARN_EVERY_MS = 10_000;

const progress = (sync: Sync, phase: SyncProgress['phase'], name: string): SyncProgress => ({
  phase,
  name,
  ...sync.copied,
  estimatedRows: sync.estimatedRows,
  tables: sync.schema.tables.length,
});

/** A disk that fills up while the replica is built has no room for it: that is not to be tried for ever. */
const unwritable = (error: unknown): unknown =>
  error instanceof DiskFull
    ? new ReplicaUnwritable(
        'The disk is full before the replica is complete. Free space, or set ZERO_REPLICA_FILE.',
        {
          cause: error,
        },
      )
    : error;

/** Looked at often, since WAL may be dropped at any checkpoint; said less often. */
const budgetWatch = (slot: string, log: Log): ((health: SlotHealth) => void) => {
  let warnedMs = Number.NEGATIVE_INFINITY;
  return health => {
    const danger = slotDanger(health, slot);
    if (danger && performance.now() - warnedMs > WARN_EVERY_MS) {
      warnedMs = performance.now();
      log.warn({retainedBytes: health.retainedBytes, walStatus: health.walStatus}, danger);
    }
    if (!health.exists || health.walStatus === 'lost')
      throw new SyncInterrupted(
        `PostgreSQL gave up the slot ${slot} while tables were copied. ${SLOT_ADVICE}`,
      );
  };
};

const SLOT_ADVICE = 'Raise max_slot_wal_keep_size to more than is written while the initial sync runs.';

/** The largest first, so that no long one is left for the end. Rows of a table without columns have nothing to copy. */
const copyOrder = (schema: PublishedSchema): PublishedTable[] =>
  schema.tables.filter(table => table.columns.length > 0);

const openSession = async (config: ZeroConfig, log: Log): Promise<Sync> => {
  const session = await openSnapshot(config, log);
  try {
    const schemaReader = await session.reader('initial-sync-schema');
    const schema = await readPublishedSchema(schemaReader, session.publications);
    for (const limit of schemaLimits(schema)) log.warn(limit);
    const sizes = await schemaReader.query<{oid: number; rows: number}>(
      'SELECT oid::int8::float8 AS oid, GREATEST(reltuples, 0)::float8 AS rows FROM pg_class WHERE oid = ANY($1)',
      [schema.tables.map(table => table.oid)],
    );
    const rowsOf = new Map(sizes.rows.map(({oid, rows}) => [oid, rows]));
    const tables = [...schema.tables].sort((a, b) => (rowsOf.get(b.oid) ?? 0) - (rowsOf.get(a.oid) ?? 0));
    const others = Math.min(config.initialSync.tableCopyWorkers, schema.tables.length) - 1;
    const workers = await Promise.all(
      Array.from({length: Math.max(0, others)}, () => session.reader('initial-sync-copy')),
    );

    mkdirSync(dirname(config.replica.file), {recursive: true});
    const tempFile = `${config.replica.file}.sync-tmp`;
    deleteReplica(tempFile);
    const db = openBulkWriter(tempFile);
    const context: SyncContext = {
      slot: session.slot.name,
      replicaID: session.replicaID,
      systemIdentifier: session.facts.systemIdentifier,
      timeline: (await slotHealth(session.client, session.slot.name)).timeline,
      publicationOids: await readPublicationOids(schemaReader, session.publications),
    };
    db.exec('BEGIN');
    createMetadataTables(db);
    initReplicaState(db, session.replicaVersion, session.publications, context);
    for (const table of schema.tables) createTable(db, table, session.replicaVersion);
    storeSchema(db, schema);
    db.exec('COMMIT');
    const roots = readRoots(db);
    db.close();
    return {
      session,
      schema: {...schema, tables},
      pages: new PageFile(tempFile),
      roots,
      db: null,
      tempFile,
      context,
      estimatedRows: Math.round(sizes.rows.reduce((sum, {rows}) => sum + rows, 0)),
      workers: [schemaReader, ...workers],
      copied: {rows: 0, bytes: 0},
    };
  } catch (error) {
    await session.discard();
    throw error;
  }
};

/** Copies tables in parallel, one per connection; progress per network chunk. */
const copyTables =
  (sync: Sync) =>
  (tables: Observable<PublishedTable>): Observable<SyncProgress> => {
    const free = [...sync.workers];
    return tables.pipe(
      mergeMap(table => {
        const client = free.pop()!;
        const name = liteTableName(table);
        const rows = new CopiedTable(sync.pages, sync.roots.get(name)!, table, sync.session.replicaVersion);
        return drain(
          () => copyBlocks(client, table),
          block => {
            sync.copied.rows += rows.write(block);
            sync.copied.bytes += block.length;
            return progress(sync, 'copy', name);
          },
        ).pipe(
          tap({complete: () => rows.finish()}),
          finalize(() => free.push(client)),
        );
      }, sync.workers.length),
    );
  };

/** All rows are there: from here on the file is SQLite's. */
const handOver = (sync: Sync): Database => {
  sync.pages.finish();
  sync.pages.close();
  sync.db = openBulkWriter(sync.tempFile);
  sync.db.exec('BEGIN');
  return sync.db;
};

/** Marks the replica usable, here and upstream, and gives it its name. */
const publish = async (sync: Sync, config: ZeroConfig) => {
  const {session, schema, context, tempFile} = sync;
  const db = sync.db!;
  const shard = shardName(config);
  db.prepare(`INSERT INTO "_zero.runtimeEvents" (event) VALUES ('sync')`).run();
  db.exec('COMMIT');
  db.exec('ANALYZE');
  finishBulk(db);
  const fd = openSync(tempFile, 'r');
  fsyncSync(fd);
  closeSync(fd);
  await markUsable(session.client, shard, context.replicaID, {schema, context});
  deleteReplica(config.replica.file);
  renameSync(tempFile, config.replica.file);
  await dropOlderReplicas(session.client, shard, context.replicaID);
};
