/**
 * zerostream as a library: start a server within a program of your own, or compose its stages anew; fixtures/examples in the
 * repository does both. Nothing here ends the process or installs signal handlers, unless it is asked to.
 *
 * Stages are RxJS operators. They work with your own `rxjs` 7 as well as with the one that zerostream brings.
 */

// From a recording to a replica.
export {replayFixture} from '../pipelines/replay.ts';
// A server.
export type {ZeroConfig} from './config/config.ts';
export {parseConfig} from './config/parse-config.ts';
export {ConfigError, DaemonError, type Recovery} from './errors.ts';
// Naming and counting stages, as inspect-pipeline shows them.
export {StageBoard, type StageOptions, type StageStats, stages} from './flow/stage.ts';
export type {DaemonInspection} from './observe/inspection.ts';

// From a slot to transactions.
export {connect} from './pg/connect.ts';
export type {WalFrames} from './pg/gather-frames.ts';
export {formatLsn, type Lsn, parseLsn} from './pg/lsn.ts';
export {type WalControl, type WalSourceOptions, walSource} from './pg/wal-source.ts';
export {decodeFrames} from './pgoutput/decode-frames.ts';
export type {Change, Relation, Tuple, WalMessage} from './pgoutput/messages.ts';
export {firstReplica} from './replay/first-replica.ts';
export {type Fixture, readFixture, type WalCase} from './replay/fixture.ts';
export type {ReplayedBatch, ReplayedTransaction} from './replay/log-lines.ts';
export {type Batch, batchTransactions, type TransactionPart} from './replication/batch.ts';
export {type StartOptions, startZeroCache, type ZeroCache} from './start-zero-cache.ts';
