import {mkdirSync} from 'node:fs';
import {statfs} from 'node:fs/promises';
import {dirname} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {DaemonError, ReplicaUnwritable, SnapshotDamaged, SnapshotUnavailable} from '../errors.ts';
import type {Log} from '../observe/log.ts';
import type {Version} from '../pg/lsn.ts';
import {PartialFile} from './partial-file.ts';
import {hostOf, requestSnapshot} from './request-snapshot.ts';
import type {SnapshotOffer} from './snapshot-offer.ts';

export interface FetchProgress {
  /** `wait`: the other node cannot hand out its replica yet. */
  readonly phase: 'wait' | 'download' | 'check' | 'done';
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface FetchOptions {
  /** Address of the other node's change-streamer, `ws://host:port` or with `wss`, `http`, `https`. */
  readonly uri: string;
  readonly secret?: string | undefined;
  /** Where the replica goes; what is there is replaced when the new one is complete and checked. */
  readonly file: string;
  readonly log: Log;
  readonly onProgress?: (progress: FetchProgress) => void;
  readonly signal: AbortSignal;
  /** How often a node that has nothing to hand out is asked before the error is thrown; if not given, for ever. */
  readonly attempts?: number;
  /** Without a byte for so long a connection is given up. */
  readonly silentMs?: number;
  /** Why what is offered is of no use; null if it is. */
  readonly objection?: (offer: SnapshotOffer) => string | null;
}

export interface FetchedReplica {
  readonly replicaVersion: Version;
  /** What the file holds, and from where to subscribe. */
  readonly watermark: Version;
}

const FIRST_DELAY_MS = 250;
/** Short, since asking costs the other node nothing. */
const MAX_DELAY_MS = 2000;
/** A wait of the same kind is told of again after this. */
const TELL_EVERY_MS = 30_000;

/**
 * Fetches the replica of another node: waits until it has one, goes on where a broken download ended, also after a restart,
 * and gives the file its name only when length, digest and version are what was offered. Nobody may have `file` open.
 * @throws NodeRefused, ReplicaUnwritable; the signal's reason when it is aborted; after `attempts` also
 *   SnapshotUnavailable and SnapshotDamaged.
 */
export const fetchReplica = async (options: FetchOptions): Promise<FetchedReplica> => {
  const {uri, file, log, signal, onProgress = () => {}, attempts = Number.POSITIVE_INFINITY} = options;
  mkdirSync(dirname(file), {recursive: true});
  const partial = new PartialFile(file);
  let delayMs = FIRST_DELAY_MS;
  let damaged = false;
  let told = {message: '', atMs: 0};
  for (let failures = 0; ; ) {
    let received = false;
    try {
      const offer = await download(partial, options, damaged, progress => {
        received = true;
        onProgress(progress);
      });
      onProgress({phase: 'check', bytes: offer.bytes, totalBytes: offer.bytes});
      await partial.check(offer, signal);
      await partial.publish();
      onProgress({phase: 'done', bytes: offer.bytes, totalBytes: offer.bytes});
      log.info({from: hostOf(uri), bytes: offer.bytes, watermark: offer.watermark}, 'the replica is fetched');
      return {replicaVersion: offer.replicaVersion, watermark: offer.watermark};
    } catch (error) {
      signal.throwIfAborted();
      damaged = error instanceof SnapshotDamaged;
      if (damaged) partial.remove();
      if (!(error instanceof DaemonError) || error.recovery !== 'resume') throw error;
      const isComing = error instanceof SnapshotUnavailable && (error.isComing || received);
      if (!isComing && ++failures >= attempts) throw error;
      const {code, message} = error;
      // Percentages are no news.
      const kind = message.replace(/\d+/g, '');
      if (kind !== told.message || Date.now() - told.atMs > TELL_EVERY_MS) {
        log[isComing && !received ? 'info' : 'warn'](
          {code},
          `${message} ${received && !damaged ? 'Going on where it ended.' : 'Trying again.'}`,
        );
        told = {message: kind, atMs: Date.now()};
      }
      if (received && !damaged) delayMs = FIRST_DELAY_MS;
      else onProgress({phase: 'wait', bytes: 0, totalBytes: 0});
      await sleep(delayMs, undefined, {signal});
      delayMs = Math.min(delayMs * 2, MAX_DELAY_MS);
    }
  }
};

const download = async (
  partial: PartialFile,
  {uri, secret, file, signal, silentMs, objection}: FetchOptions,
  anew: boolean,
  onProgress: (progress: FetchProgress) => void,
): Promise<SnapshotOffer> => {
  const answer = await requestSnapshot({uri, secret, signal, anew, silentMs, resume: partial.found()});
  const {offer, start, body} = answer;
  const report = (bytes: number) => onProgress({phase: 'download', bytes, totalBytes: offer.bytes});
  try {
    const objected = objection?.(offer);
    if (objected) throw new SnapshotUnavailable(`The replica of ${hostOf(uri)} is of no use: ${objected}`);
    await checkRoom(file, offer.bytes - start);
    report(start);
    await partial.receive(answer, report, signal);
    return offer;
  } catch (error) {
    body.destroy();
    throw error instanceof DaemonError ? error : broken(uri, error);
  }
};

const checkRoom = async (file: string, bytes: number): Promise<void> => {
  const {bavail, bsize} = await statfs(dirname(file));
  if (bavail * bsize >= bytes) return;
  throw new ReplicaUnwritable(
    `The replica has ${bytes} bytes to come, and the disk of ${file} has room for ${bavail * bsize}. Free space, or set ZERO_REPLICA_FILE.`,
  );
};

const broken = (uri: string, error: unknown): DaemonError => {
  const {code, message, syscall} = error as {code?: string; message: string; syscall?: string};
  if (code === 'ENOSPC' || (syscall === 'open' && code !== undefined))
    return new ReplicaUnwritable(`The replica cannot be written (${code}). Set ZERO_REPLICA_FILE.`, {
      cause: error,
    });
  return new SnapshotUnavailable(
    `The download of the replica from ${hostOf(uri)} broke off (${code ?? message}).`,
    {
      cause: error,
    },
  );
};
