import {createHash} from 'node:crypto';
import {closeSync, openSync, readSync, statSync} from 'node:fs';
import {deleteReplica, openReader, openWriter} from '../replica/open.ts';
import {readReplicaState} from '../replica/sync-context.ts';
import type {SnapshotOffer} from './snapshot-offer.ts';

const CHUNK_BYTES = 1024 * 1024;

/**
 * Copies a replica as of one version while its writer goes on, compacted, and reads its digest. Synchronous: for a process of
 * its own. Until the copy is complete it pins the replica's WAL, as any reader does.
 * @throws SQLite's own errors, ReplicaUnusable.
 */
export const copyReplica = (file: string, target: string): SnapshotOffer => {
  deleteReplica(target);
  const source = openReader(file);
  try {
    source.prepare('VACUUM INTO ?').run(target);
  } finally {
    source.close();
  }
  const copy = openWriter(target); // In WAL mode, as its receiver needs it.
  let state: ReturnType<typeof readReplicaState>;
  try {
    state = readReplicaState(copy);
  } finally {
    copy.close();
  }
  return {
    replicaVersion: state.replicaVersion,
    watermark: state.stateVersion,
    bytes: statSync(target).size,
    sha256: digestOf(target),
  };
};

const digestOf = (file: string): string => {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const fd = openSync(file, 'r');
  try {
    for (let read = 1; read > 0; ) {
      read = readSync(fd, chunk, 0, CHUNK_BYTES, null);
      hash.update(chunk.subarray(0, read));
    }
  } finally {
    closeSync(fd);
  }
  return hash.digest('base64');
};
