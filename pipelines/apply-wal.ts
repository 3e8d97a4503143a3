import type {Database} from 'better-sqlite3';
import {defer, type OperatorFunction} from 'rxjs';
import type {stages} from '../src/flow/stage.ts';
import type {CatalogReader} from '../src/pg/catalog.ts';
import type {WalFrames} from '../src/pg/gather-frames.ts';
import type {Version} from '../src/pg/lsn.ts';
import {decodeFrames} from '../src/pgoutput/decode-frames.ts';
import type {BackfillJobs} from '../src/replica/backfill-jobs.ts';
import {checkpoint} from '../src/replica/checkpoint.ts';
import {type Applied, applyBatches} from '../src/replication/apply.ts';
import {type Batch, batchTransactions} from '../src/replication/batch.ts';
import {followSchema, type SideWitness} from '../src/replication/follow-schema.ts';
import type {SchemaTracker} from '../src/replication/schema-tracker.ts';
import type {SideChannel} from '../src/replication/side-channel.ts';

/** Bytes of one transaction held before it goes on in parts. */
const PART_BYTES = 1024 * 1024;
/** Bytes applied between two checkpoints of the replica. */
export const CHECKPOINT_BYTES = 8 * 1024 * 1024;
/** Size of the replica's WAL from which readers are asked to let go of it. */
export const LARGE_WAL_BYTES = 64 * 1024 * 1024;

export interface ApplyWalDeps {
  readonly stage: ReturnType<typeof stages>;
  readonly db: Database;
  /** What the replica already holds. */
  readonly watermark: Version;
  readonly partBytes?: number;
  readonly largeWalBytes?: number;
  /** The replica's WAL is in the file: readers may take new snapshots. */
  readonly onCheckpoint?: () => void;
  /** The replica's WAL is large, because readers hold it. */
  readonly onLargeWal?: (bytes: number) => void;
  readonly schema: SchemaFollowing;
}

/** How the chain follows the schema. */
export interface SchemaFollowing {
  readonly tracker: SchemaTracker;
  readonly jobs: BackfillJobs;
  readonly side: SideChannel;
  readonly catalog: CatalogReader | null;
  readonly prefix: string | null;
  /** Where a running server is recorded. */
  readonly witness?: SideWitness;
  readonly logged?: () => Promise<void> | null;
  readonly hold: () => void;
  readonly release: () => void;
  /** Newest version in the change log: those beside the stream are numbered above it. */
  readonly lastVersion: Version;
}

/**
 * The way of raw frames into the replica: decode → batch → schema → apply → checkpoint. Streaming from a slot and replaying
 * a recording share it, so what a replay shows is what the server does. Synchronous from end to end, but where the catalog
 * must be read.
 */
export const applyWal = (deps: ApplyWalDeps): OperatorFunction<WalFrames, Applied> => {
  const {stage, db, watermark} = deps;
  return frames =>
    defer(() => {
      const {schema} = deps;
      return frames.pipe(
        stage('decode', decodeFrames(), {bytesOf: frameBytes}),
        stage('batch', batchTransactions(deps.partBytes ?? PART_BYTES)),
        stage('schema', followSchema(schema), {bytesOf: (batch: Batch) => batch.bytes}),
        stage('apply', applyBatches({db, watermark, ...schema}), {
          bytesOf: (batch: Batch) => batch.bytes,
          committedMs: applied => applied.upstreamCommitTimeMs,
        }),
        checkpoint<Applied>(db, {
          everyBytes: CHECKPOINT_BYTES,
          onComplete: deps.onCheckpoint ?? (() => {}),
          largeBytes: deps.largeWalBytes ?? LARGE_WAL_BYTES,
          onLarge: deps.onLargeWal ?? (() => {}),
        }),
      );
    });
};

const frameBytes = (frames: WalFrames): number => frames.reduce((sum, frame) => sum + frame.length, 0);
