import type {Database} from 'better-sqlite3';
import {defer, filter, finalize, map, merge, type Observable, Subject, share, tap} from 'rxjs';
import {Backlog} from '../src/change-log/backlog.ts';
import {type TeeOptions, teeToChangeLog} from '../src/change-log/tee.ts';
import {Brake} from '../src/flow/brake.ts';
import {type StageBoard, stages} from '../src/flow/stage.ts';
import type {ChangeHub} from '../src/nodes/hub.ts';
import type {Log} from '../src/observe/log.ts';
import {Catalog} from '../src/pg/catalog.ts';
import {ddlPrefix} from '../src/pg/ddl-triggers.ts';
import type {Version} from '../src/pg/lsn.ts';
import {lsnOfVersion} from '../src/pg/lsn.ts';
import {type WalControl, walSource} from '../src/pg/wal-source.ts';
import type {FrameTap} from '../src/replay/frame-tap.ts';
import {BackfillJobs} from '../src/replica/backfill-jobs.ts';
import {emptyWhenLarge} from '../src/replica/empty-wal.ts';
import {loadSchema} from '../src/replica/stored-schema.ts';
import {acknowledge} from '../src/replication/acknowledge.ts';
import {positionOf} from '../src/replication/apply.ts';
import type {ReplicationEvent} from '../src/replication/events.ts';
import {fillTables} from '../src/replication/fill-tables.ts';
import {SchemaTracker} from '../src/replication/schema-tracker.ts';
import {SideChannel} from '../src/replication/side-channel.ts';
import type {RunningChain} from '../src/replication/status.ts';
import {watchCatalog} from '../src/replication/watch-catalog.ts';
import {applyWal} from './apply-wal.ts';

/** Bytes of applied batches that wait for the change log before the WAL is paused. */
const TEE_BYTES = 16 * 1024 * 1024;

export interface ReplicationDeps {
  readonly board: StageBoard;
  /** Where a running server is recorded. */
  readonly tap: FrameTap;
  /** Other nodes that follow this one; nobody without it. */
  readonly hub?: ChangeHub | undefined;
  /** True while the replica is copied for other nodes: its WAL cannot be emptied then, and waiting for it would be in vain. */
  readonly isCopying?: (() => boolean) | undefined;
  readonly log: Log;
  readonly db: Database;
  readonly watermark: Version;
  readonly upstreamUrl: string;
  readonly slot: string;
  readonly publications: readonly string[];
  /** The server's setting; 0 = it never gives up. */
  readonly walSenderTimeoutMs: number;
  readonly inboundTimeoutMs: number;
  /** ms between two looks at upstream's catalog for changes that the stream does not announce. */
  readonly catalogEveryMs: number;
  /** The stream is open. */
  readonly onOpen?: (chain: RunningChain) => void;
  readonly changeLog: Pick<
    TeeOptions,
    'pool' | 'shard' | 'owner' | 'last' | 'batchSize' | 'statementTimeoutMs'
  >;
}

/**
 * The chain from the slot to the replica: frames → decode → batch → apply, and from there at once to the workers
 * (version-ready) and through the change-log tee to the acknowledgement. Runs until unsubscribed or failed; errors carry
 * their recovery. Every stage is synchronous but the tee, whose queue pauses the source.
 */
export const replication = (deps: ReplicationDeps): Observable<ReplicationEvent> =>
  defer(() => openReplication(deps));

const openReplication = (deps: ReplicationDeps): Observable<ReplicationEvent> => {
  const stage = stages(deps.board, 'replication');
  let control: WalControl | null = null;
  const brake = new Brake(
    () => control?.pause(),
    () => control?.resume(),
  );
  const catalog = new Catalog(deps.upstreamUrl, deps.publications);
  const schema = {
    tracker: new SchemaTracker(loadSchema(deps.db)),
    jobs: new BackfillJobs(deps.db),
    side: new SideChannel(),
  };
  const backlog = new Backlog();
  const beside = new Subject<ReplicationEvent>();
  const from = deps.watermark < deps.changeLog.last ? deps.watermark : deps.changeLog.last;

  const reopen = () => beside.next({type: 'checkpointed'});
  const applied = walSource({
    url: deps.upstreamUrl,
    slot: deps.slot,
    publications: deps.publications,
    start: lsnOfVersion(from) + 1n,
    walSenderTimeoutMs: deps.walSenderTimeoutMs,
    inboundTimeoutMs: deps.inboundTimeoutMs,
    onOpen: opened => {
      control = opened;
      deps.onOpen?.({control, ...schema});
    },
  }).pipe(
    deps.tap.watch(),
    applyWal({
      stage,
      db: deps.db,
      watermark: deps.watermark,
      onCheckpoint: reopen,
      onLargeWal: emptyWhenLarge({
        db: deps.db,
        brake,
        reopen,
        isCopying: deps.isCopying,
        onError: error => beside.error(error),
      }),
      schema: {
        ...schema,
        catalog,
        prefix: ddlPrefix(deps.changeLog.shard),
        logged: () => backlog.written(),
        witness: deps.tap,
        hold: () => brake.hold('schema'),
        release: () => brake.release('schema'),
        lastVersion: deps.changeLog.last,
      },
    }),
    share(),
  );

  const ready = applied.pipe(
    filter(batch => batch.version !== null),
    map(
      (batch): ReplicationEvent => ({
        type: 'version-ready',
        ready: {
          version: batch.version!,
          upstreamCommitTimeMs: batch.upstreamCommitTimeMs,
          readyTimeMs: Date.now(),
        },
      }),
    ),
  );

  const acknowledged = applied.pipe(
    stage(
      'tee',
      teeToChangeLog({
        ...deps.changeLog,
        ...(deps.hub ? {live: deps.hub.live, floor: () => deps.hub!.floor.lowest} : {}),
        limitBytes: TEE_BYTES,
        backlog,
        pause: () => brake.hold('tee'),
        resume: () => brake.release('tee'),
      }),
      {
        bytesOf: batch => batch.bytes,
        settles: {positionOf, settledTo: lsn => lsn},
      },
    ),
    tap(lsn => beside.next({type: 'logged', lsn})),
    stage(
      'ack',
      acknowledge(`${deps.db.name}-wal`, lsn => control?.acknowledge(lsn)),
      {settles: {positionOf: lsn => lsn, settledTo: lsn => lsn}},
    ),
    map((lsn): ReplicationEvent => ({type: 'acknowledged', lsn})),
  );

  const schemaWork = merge(
    watchCatalog({...schema, catalog, log: deps.log, everyMs: deps.catalogEveryMs}),
    fillTables({
      ...schema,
      url: deps.upstreamUrl,
      publications: deps.publications,
      slot: deps.slot,
      log: deps.log,
      room: () => brake.free(),
    }),
  );

  return merge(ready, acknowledged, beside, schemaWork).pipe(
    finalize(() => {
      catalog.close();
      // A table that is read beside the stream may wait for room, with a snapshot open that holds back upstream's vacuum.
      brake.end();
      if (deps.db.inTransaction) deps.db.exec('ROLLBACK');
    }),
  );
};
