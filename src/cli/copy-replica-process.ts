import {setPriority} from 'node:os';
import type {CopyReply} from '../nodes/copy-aside.ts';
import {copyReplica} from '../nodes/copy-replica.ts';

/** Copies a replica for other nodes, and ends: `copy-replica.js FILE TARGET`, with a channel for the answer. */
const [file = '', target = ''] = process.argv.slice(2);

try {
  // Replication and clients first.
  setPriority(10);
} catch {
  // Where this is not allowed the copy competes with them.
}

const reply = (): CopyReply => {
  try {
    return {offer: copyReplica(file, target)};
  } catch (error) {
    return {error: (error as Error).message};
  }
};

process.send?.(reply(), () => process.disconnect?.());
