import {closeSync, fsyncSync, mkdirSync, openSync, renameSync} from 'node:fs';
import {dirname} from 'node:path';
import type {Database} from 'better-sqlite3';
import type pg from 'pg';
import {concat, concatMap, defer, finalize, from, map, mergeMap, type Observable, of} from 'rxjs';
import {shardName, type ZeroConfig} from '../src/config/config.ts';
import {drain} from '../src/flow/drain.ts';
import {type StageBoard, stages} from '../src/flow/stage.ts';
import type {Log} from '../src/observe/log.ts';
import {checkUpstream} from '../src/pg/check-upstream.ts';
import {connect} from '../src/pg/connect.ts';
import {copyTable} from '../src/pg/copy-table.ts';
import {ident, literal} from '../src/pg/identifier.ts';
import {lexi, type Version} from '../src/pg/lsn.ts';
import {liteTableName, type PublishedSchema, type PublishedTable} from '../src/pg/published-schema.ts';
import {readPublishedSchema} from '../src/pg/read-published-schema.ts';
import {schemaLimits} from '../src/pg/schema-limits.ts';
import {ensureShard} from '../src/pg/shard.ts';
import {createSlot, dropSlot} from '../src/pg/slot.ts';
import {createIndex, createTable} from '../src/replica/create-table.ts';
import {createMetadataTables, initReplicaState} from '../src/replica/metadata.ts';
import {deleteReplica, openWriter} from '../src/replica/open.ts';
import type {SyncContext} from '../src/replica/sync-context.ts';
import {RowWriter} from '../src/replica/write-rows.ts';

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

export interface InitialSyncDeps {
  readonly config: ZeroConfig;
  readonly log: Log;
  readonly board: StageBoard;
}

/** Everything a sync holds open. */
interface Session {
  readonly schema: PublishedSchema;
  readonly db: Database;
  readonly tempFile: string;
  readonly replicaVersion: Version;
  readonly context: SyncContext;
  readonly estimatedRows: number;
  readonly workers: pg.Client[];
  readonly client: pg.Client;
  close(): Promise<void>;
}

/**
 * Builds a replica in a temporary file and renames it when it is complete: an interrupted sync never looks like a
 * replica (replication.md §2). Slot snapshot → tables copied in parallel → indexes → ANALYZE → rename. Unsubscribing or
 * failing drops the slot and the file. @throws UpstreamUnreachable, UpstreamUnfit, PublicationUnfit.
 */
export const initialSync = ({config, log, board}: InitialSyncDeps): Observable<SyncProgress> => {
  const stage = stages(board, 'initial-sync');
  return defer(() => {
    let session: Session | null = null;
    let complete = false;
    return from(openSession(config, log)).pipe(
      concatMap(opened => {
        session = opened;
        return concat(
          of(...opened.schema.tables).pipe(stage('copy', copyTables(opened))),
          of(...opened.schema.indexes).pipe(
            stage(
              'index',
              map(index => {
                createIndex(opened.db, index);
                return progress(opened, 'index', index.name);
              }),
            ),
          ),
          defer(async () => {
            await publish(opened, config);
            complete = true;
            return progress(opened, 'done', '');
          }),
        );
      }),
      finalize(() => {
        void session?.close().then(() => (complete ? undefined : discard(session!, config, log)));
      }),
    );
  });
};

const totals = new WeakMap<Session, {rows: number; bytes: number}>();

const progress = (session: Session, phase: SyncProgress['phase'], name: string): SyncProgress => ({
  phase,
  name,
  ...(totals.get(session) ?? {rows: 0, bytes: 0}),
  estimatedRows: session.estimatedRows,
  tables: session.schema.tables.length,
});

const openSession = async (config: ZeroConfig, log: Log): Promise<Session> => {
  const shard = shardName(config);
  const client = await connect(config.upstream.db, {purpose: 'initial-sync'});
  const open: pg.Client[] = [client];
  const close = async () => void (await Promise.all(open.map(c => c.end().catch(() => {}))));
  let slotName: string | null = null;
  try {
    const facts = await checkUpstream(client);
    const {publications} = await ensureShard(client, {
      appID: config.app.id,
      shardNum: config.shard.num,
      publications: config.app.publications,
    });
    const replication = await connect(config.upstream.db, {purpose: 'initial-sync-slot', replication: true});
    open.push(replication);
    const failover = Boolean(config.upstream.pgReplicationSlotFailover) && facts.version >= 170_000;
    const slot = await createSlot(client, replication, shard, {failover});
    slotName = slot.name;
    const replicaID = String(Date.now());
    await client.query(
      `INSERT INTO ${ident(shard)}."replicas" ("id", "slot", "version") VALUES ($1, $2, $3)`,
      [
        replicaID,
        slot.name,
        // Records start at multiples of 8, so no commit can lie at consistent_point − 1; a commit exactly at the
        // consistent point is not in the snapshot and must still be streamed (replication.md §2.2).
        lexi(slot.consistentPoint - 1n),
      ],
    );

    const snapshotReader = async (purpose: string) => {
      const reader = await connect(config.upstream.db, {purpose});
      open.push(reader);
      await reader.query(
        `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; SET TRANSACTION SNAPSHOT ${literal(slot.snapshot)}`,
      );
      return reader;
    };
    const schemaReader = await snapshotReader('initial-sync-schema');
    const schema = await readPublishedSchema(schemaReader, publications);
    for (const limit of schemaLimits(schema)) log.warn(limit);
    const estimate = await schemaReader.query<{rows: string}>(
      'SELECT COALESCE(sum(GREATEST(reltuples, 0)), 0)::bigint::text AS rows FROM pg_class WHERE oid = ANY($1)',
      [schema.tables.map(table => table.oid)],
    );
    const workers = [schemaReader];
    const count = Math.min(config.initialSync.tableCopyWorkers, schema.tables.length);
    while (workers.length < count) workers.push(await snapshotReader('initial-sync-copy'));

    mkdirSync(dirname(config.replica.file), {recursive: true});
    const tempFile = `${config.replica.file}.sync-tmp`;
    deleteReplica(tempFile);
    const db = openWriter(tempFile);
    // The file is thrown away unless it is complete, so nothing needs to survive a crash before the rename.
    db.pragma('journal_mode = OFF');
    db.pragma('synchronous = OFF');
    db.pragma('cache_size = -64000');
    const replicaVersion = lexi(slot.consistentPoint - 1n);
    const context: SyncContext = {slot: slot.name, replicaID, systemIdentifier: facts.systemIdentifier};
    db.exec('BEGIN');
    createMetadataTables(db);
    initReplicaState(db, replicaVersion, publications, context);
    for (const table of schema.tables) createTable(db, table, replicaVersion);
    return {
      schema,
      db,
      tempFile,
      replicaVersion,
      context,
      estimatedRows: Number(estimate.rows[0]!.rows),
      workers,
      client,
      close: async () => {
        if (db.open) db.close();
        await close();
      },
    };
  } catch (error) {
    if (slotName) await dropSlot(client, slotName);
    await close();
    throw error;
  }
};

/** Copies tables in parallel, one per connection; progress per network chunk. */
const copyTables =
  (session: Session) =>
  (tables: Observable<PublishedTable>): Observable<SyncProgress> => {
    const total = {rows: 0, bytes: 0};
    totals.set(session, total);
    const free = [...session.workers];
    return tables.pipe(
      mergeMap(table => {
        const client = free.pop()!;
        const writer = new RowWriter(
          session.db,
          liteTableName(table),
          table.columns.map(column => column.name),
        );
        return drain(
          () => copyTable(client, table),
          ({rows, bytes}) => {
            writer.write(rows);
            total.rows += rows.length;
            total.bytes += bytes;
            return progress(session, 'copy', liteTableName(table));
          },
        ).pipe(finalize(() => free.push(client)));
      }, session.workers.length),
    );
  };

/** Marks the replica usable, here and upstream, and gives it its name. */
const publish = async (session: Session, config: ZeroConfig) => {
  session.db.prepare(`INSERT INTO "_zero.runtimeEvents" (event) VALUES ('sync')`).run();
  session.db.exec('COMMIT');
  session.db.exec('ANALYZE');
  session.db.pragma('journal_mode = WAL');
  session.db.close();
  const fd = openSync(session.tempFile, 'r');
  fsyncSync(fd);
  closeSync(fd);
  await session.client.query(
    `UPDATE ${ident(shardName(config))}."replicas" SET "initialSchema" = $1, "initialSyncContext" = $2 WHERE "id" = $3`,
    [JSON.stringify(session.schema), JSON.stringify(session.context), session.context.replicaID],
  );
  deleteReplica(config.replica.file);
  renameSync(session.tempFile, config.replica.file);
  await dropOlderReplicas(session.client, shardName(config), session.context.replicaID);
};

/** Slots of replicas that this one replaces would hold WAL for ever; one still in use is left to its owner. */
const dropOlderReplicas = async (client: pg.Client, shard: string, replicaID: string) => {
  const {rows} = await client.query<{id: string; slot: string | null}>(
    `SELECT r."id", r."slot" FROM ${ident(shard)}."replicas" r
     WHERE r."rank" < (SELECT "rank" FROM ${ident(shard)}."replicas" WHERE "id" = $1)
       AND NOT EXISTS (SELECT 1 FROM pg_replication_slots s WHERE s.slot_name = r."slot" AND s.active)`,
    [replicaID],
  );
  for (const {id, slot} of rows) {
    if (slot) await dropSlot(client, slot);
    await client.query(`DELETE FROM ${ident(shard)}."replicas" WHERE "id" = $1`, [id]);
  }
};

const discard = async (session: Session, config: ZeroConfig, log: Log) => {
  deleteReplica(session.tempFile);
  try {
    const client = await connect(config.upstream.db, {purpose: 'initial-sync-cleanup'});
    await dropSlot(client, session.context.slot);
    await client.query(`DELETE FROM ${ident(shardName(config))}."replicas" WHERE "id" = $1`, [
      session.context.replicaID,
    ]);
    await client.end();
  } catch (err) {
    log.warn(
      {err, slot: session.context.slot},
      'the slot of a failed initial sync could not be dropped; the next sync will',
    );
  }
};
