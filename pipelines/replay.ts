import {join} from 'node:path';
import type {Database} from 'better-sqlite3';
import type {Observable} from 'rxjs';
import {drain} from '../src/flow/drain.ts';
import {StageBoard, stages} from '../src/flow/stage.ts';
import type {Version} from '../src/pg/lsn.ts';
import {RecordedCatalog} from '../src/replay/aside-lines.ts';
import {asidesOf} from '../src/replay/first-replica.ts';
import {type Fixture, WAL_FILE, type WalCase} from '../src/replay/fixture.ts';
import {type ReplayedBatch, toLogEntries} from '../src/replay/log-lines.ts';
import {type RecordingOptions, readRecording} from '../src/replay/recording.ts';
import {withAsides} from '../src/replay/with-asides.ts';
import {BackfillJobs} from '../src/replica/backfill-jobs.ts';
import {loadSchema} from '../src/replica/stored-schema.ts';
import {readReplicaState} from '../src/replica/sync-context.ts';
import {SchemaTracker} from '../src/replication/schema-tracker.ts';
import {SideChannel} from '../src/replication/side-channel.ts';
import {applyWal} from './apply-wal.ts';

export interface ReplayDeps {
  readonly db: Database;
  readonly watermark: Version;
  /** `wal.ndjson`. */
  readonly recording: string;
  /** `asides.ndjson`, if the recording has what reached the replica beside the stream. */
  readonly asides: string | null;
  readonly options: RecordingOptions;
  readonly partBytes?: number | undefined;
  readonly board?: StageBoard | undefined;
  /** Awaited before each group of frames: where stepping waits for its user. */
  readonly beforeGroup?: (() => Promise<void>) | undefined;
  /** Awaited before each step of what came beside the stream. */
  readonly beforeAside?: (() => Promise<void>) | undefined;
}

/**
 * A recording in the place of the slot: frames → decode → batch → apply → change-log entries, by the stages that the
 * server runs. The file is read as the chain asks for it. Completes at the end of the recording, or where it is to stop.
 */
export const replay = (deps: ReplayDeps): Observable<ReplayedBatch> => {
  const stage = stages(deps.board ?? new StageBoard(), 'replay');
  const {db, watermark, asides} = deps;
  const side = new SideChannel();
  const catalog = new RecordedCatalog();
  return drain(
    () =>
      asides === null
        ? readRecording(deps.recording, deps.options)
        : withAsides(readRecording(deps.recording, {...deps.options, perTransaction: true}), asides, {
            side,
            catalog,
            before: deps.beforeAside,
          }),
    async frames => {
      await deps.beforeGroup?.();
      return frames;
    },
  ).pipe(
    applyWal({
      stage,
      db,
      watermark,
      ...(deps.partBytes === undefined ? {} : {partBytes: deps.partBytes}),
      schema: {
        tracker: new SchemaTracker(loadSchema(db)),
        jobs: new BackfillJobs(db),
        side,
        catalog: asides === null ? null : catalog,
        // Any shard's: a recording has only its own.
        prefix: null,
        // The recording is read one group at a time anyway.
        hold: () => {},
        release: () => {},
        lastVersion: watermark,
      },
    }),
    stage('entries', toLogEntries(), {bytesOf: batch => batch.bytes}),
  );
};

/** A `wal` fixture, replayed into the replica that `firstReplica` made of it. @throws FixtureUnusable, and what the chain throws. */
export const replayFixture = (
  {dir, case: {partBytes}}: Fixture<WalCase>,
  db: Database,
  {
    board,
    beforeGroup,
    beforeAside,
    ...options
  }: RecordingOptions & Pick<ReplayDeps, 'board' | 'beforeGroup' | 'beforeAside'> = {},
): Observable<ReplayedBatch> =>
  replay({
    db,
    watermark: readReplicaState(db).stateVersion,
    recording: join(dir, WAL_FILE),
    asides: asidesOf(dir),
    options,
    partBytes,
    board,
    beforeGroup,
    beforeAside,
  });
