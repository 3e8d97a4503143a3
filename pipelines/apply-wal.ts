import type {Database} from 'better-sqlite3';
import type {OperatorFunction} from 'rxjs';
import type {stages} from '../src/flow/stage.ts';
import type {Version} from '../src/pg/lsn.ts';
import type {WalFrames} from '../src/pg/wal-source.ts';
import {decodeFrames} from '../src/pgoutput/decode-frames.ts';
import {checkpoint} from '../src/replica/checkpoint.ts';
import {type Applied, applyBatches} from '../src/replication/apply.ts';
import {type Batch, batchTransactions} from '../src/replication/batch.ts';

/** Bytes of one transaction held before it goes on in parts. */
export const PART_BYTES = 1024 * 1024;
const CHECKPOINT_BYTES = 8 * 1024 * 1024;

export interface ApplyWalDeps {
  readonly stage: ReturnType<typeof stages>;
  readonly db: Database;
  /** What the replica already holds. */
  readonly watermark: Version;
  readonly partBytes?: number;
  readonly onCheckpoint?: () => void;
}

/**
 * The way of raw frames into the replica: decode → batch → apply → checkpoint. Streaming from a slot and replaying a
 * recording share it, so what a replay shows is what the server does. Synchronous from end to end.
 */
export const applyWal = (deps: ApplyWalDeps): OperatorFunction<WalFrames, Applied> => {
  const {stage, db} = deps;
  return frames =>
    frames.pipe(
      stage('decode', decodeFrames(), {bytesOf: frameBytes}),
      stage('batch', batchTransactions(deps.partBytes ?? PART_BYTES)),
      stage('apply', applyBatches(db, deps.watermark), {
        bytesOf: (batch: Batch) => batch.bytes,
        committedMs: applied => applied.upstreamCommitTimeMs,
      }),
      checkpoint<Applied>(db, CHECKPOINT_BYTES, deps.onCheckpoint ?? (() => {})),
    );
};

const frameBytes = (frames: WalFrames): number => frames.reduce((sum, frame) => sum + frame.length, 0);
