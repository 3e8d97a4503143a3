import {fork} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {SnapshotUnavailable} from '../errors.ts';
import type {SnapshotOffer} from './snapshot-offer.ts';

export type CopyReply = {readonly offer: SnapshotOffer} | {readonly error: string};

/** The bundled program that copies; beside the bundle that runs. */
export const COPY_PROGRAM = new URL('./copy-replica.js', import.meta.url);

/**
 * Copies a replica in a process of its own and of low priority, so that the stream goes on meanwhile. Killed when the
 * signal is aborted; what it wrote until then is the caller's to remove.
 * @throws SnapshotUnavailable
 */
export const copyAside = (
  file: string,
  target: string,
  signal: AbortSignal,
  program: URL = COPY_PROGRAM,
): Promise<SnapshotOffer> =>
  new Promise((resolve, reject) => {
    const fail = (why: string) =>
      reject(new SnapshotUnavailable(`The replica cannot be copied for other nodes (${why}).`));
    const child = fork(fileURLToPath(program), [file, target], {
      env: {}, // Nothing of the configuration is its business.
      execArgv: [],
      signal,
      killSignal: 'SIGKILL',
    });
    child.once('message', (reply: CopyReply) =>
      'offer' in reply ? resolve(reply.offer) : fail(reply.error),
    );
    child.once('error', error => fail(error.message));
    child.once('exit', code => fail(`exit code ${code}`));
  });
