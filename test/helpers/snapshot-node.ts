import {createServer} from 'node:http';
import {pino} from 'pino';
import {PurgeFloor} from '../../src/nodes/floor.ts';
import {
  type SnapshotServer,
  type SnapshotServerOptions,
  serveSnapshot,
} from '../../src/nodes/serve-snapshot.ts';
import {SNAPSHOT_PATH} from '../../src/nodes/snapshot-offer.ts';
import type {Version} from '../../src/pg/lsn.ts';
import {openReader} from '../../src/replica/open.ts';

export interface SnapshotNode {
  readonly uri: string;
  readonly floor: PurgeFloor;
  readonly snapshots: SnapshotServer;
  /** Requests so far, and the status codes they were answered with. */
  readonly answers: readonly number[];
  readonly logged: readonly string[];
  /** Where in the file each download began. */
  readonly starts: readonly number[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** The bundled program that copies replicas. */
const COPY_PROGRAM = new URL('../../dist/copy-replica.js', import.meta.url);

export const versionOf = (file: string): Version => {
  const db = openReader(file);
  try {
    return db.prepare('SELECT stateVersion FROM "_zero.replicationState"').pluck().get() as Version;
  } finally {
    db.close();
  }
};

/** A node that hands out the replica `file` over HTTP, as the replicator process does on the change-streamer port. */
export const snapshotNode = async (
  file: string,
  options: Partial<SnapshotServerOptions> = {},
): Promise<SnapshotNode> => {
  const floor = new PurgeFloor();
  const logged: string[] = [];
  const starts: number[] = [];
  const note = (line: string) => {
    const {msg, start} = JSON.parse(line) as {msg: string; start?: number};
    logged.push(msg);
    if (start !== undefined) starts.push(start);
  };
  const snapshots = serveSnapshot({
    file,
    floor,
    secret: undefined,
    watermark: () => versionOf(file),
    log: pino({level: 'info'}, {write: note}),
    copyProgram: COPY_PROGRAM,
    ...options,
  });
  const answers: number[] = [];
  const server = createServer((request, response) => {
    response.once('close', () => answers.push(response.statusCode));
    if (request.url === SNAPSHOT_PATH) void snapshots.handle(request, response);
    else response.writeHead(404).end();
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    uri: `ws://127.0.0.1:${(server.address() as {port: number}).port}`,
    floor,
    snapshots,
    answers,
    logged,
    starts,
    async [Symbol.asyncDispose]() {
      snapshots.close();
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
};
