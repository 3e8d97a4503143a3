import type {Database} from 'better-sqlite3';
import type {Observable} from 'rxjs';
import {drain} from '../src/flow/drain.ts';
import {StageBoard, stages} from '../src/flow/stage.ts';
import type {Version} from '../src/pg/lsn.ts';
import {type ReplayedBatch, toLogEntries} from '../src/replay/log-lines.ts';
import {type RecordingOptions, readRecording} from '../src/replay/recording.ts';
import {applyWal} from './apply-wal.ts';

export interface ReplayDeps {
  readonly db: Database;
  readonly watermark: Version;
  /** `wal.ndjson`. */
  readonly recording: string;
  readonly options: RecordingOptions;
  readonly partBytes?: number | undefined;
  readonly board?: StageBoard;
  /** Awaited before each group of frames: where stepping waits for its user. */
  readonly beforeGroup?: () => Promise<void>;
}

/**
 * A recording in the place of the slot: frames → decode → batch → apply → change-log entries, by the stages that the
 * server runs. The file is read as the chain asks for it. Completes at the end of the recording, or where it is to stop.
 */
export const replay = (deps: ReplayDeps): Observable<ReplayedBatch> => {
  const stage = stages(deps.board ?? new StageBoard(), 'replay');
  return drain(
    () => readRecording(deps.recording, deps.options),
    async frames => {
      await deps.beforeGroup?.();
      return frames;
    },
  ).pipe(
    applyWal({
      stage,
      db: deps.db,
      watermark: deps.watermark,
      ...(deps.partBytes === undefined ? {} : {partBytes: deps.partBytes}),
    }),
    stage('entries', toLogEntries(), {bytesOf: batch => batch.bytes}),
  );
};
