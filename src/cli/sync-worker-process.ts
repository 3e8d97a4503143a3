import type {Socket} from 'node:net';
import {Subject} from 'rxjs';
import {type SyncWorker, startSyncWorker} from '../../pipelines/sync-worker.ts';
import {parentOf} from '../daemon/child-process.ts';
import {usage, WORKER_INDEX_VARIABLE} from '../daemon/ipc.ts';
import {tracedBoard} from '../daemon/traced-board.ts';
import {receiveVersions} from '../daemon/version-channel.ts';
import type {ConversationRequest} from '../replay/record-protocol.ts';
import type {VersionReady} from '../sync/types.ts';
import {VERSION} from '../version.ts';

/** A process that serves client groups from the replica. */
const workerIndex = Number(process.env[WORKER_INDEX_VARIABLE] ?? 0);
const parent = parentOf(`syncer-${workerIndex}`);
const {board, stop} = tracedBoard({version: VERSION, worker: 'syncer', workerIndex}, parent.log);
const versions = new Subject<VersionReady>();
let stopReceiving: (() => void) | null = null;
let worker: SyncWorker | null = null;
/** Sockets that the dispatcher may still be reading from, in order; null for one that ended on the way. */
const arriving: ((() => void) | null)[] = [];

parent.onMessage((message, socket) => {
  switch (message.type) {
    case 'version-ready':
      return versions.next(message.ready);
    case 'versions-at':
      stopReceiving = receiveVersions(message.path, ready => versions.next(ready));
      return;
    case 'refresh':
      return worker?.refresh();
    case 'upgrade':
      arriving.push(
        socket
          ? () => {
              if (worker) worker.accept(message.request, socket, Buffer.from(message.head, 'base64'));
              else socket.destroy();
            }
          : null,
      );
      return;
    case 'record': {
      const {clients} = message;
      arriving.push(socket && clients ? () => record(socket, clients) : null);
      return;
    }
    case 'handed-over':
      return void arriving.shift()?.();
    case 'inspect':
      if (worker) parent.send({type: 'inspection', id: message.id, body: worker.inspect(), usage: usage()});
      return;
    case 'stop':
      stopReceiving?.();
      void (worker?.stop(message.reason, message.handOverMs) ?? Promise.resolve())
        .catch(() => {})
        .then(stop)
        // Frames already handed to the sockets are flushed by then.
        .finally(() => setTimeout(() => process.exit(0), 100));
  }
});

const record = (socket: Socket, request: ConversationRequest): void => {
  if (!worker) return void socket.destroy();
  parent.log.info('a recording of the clients begins');
  socket.once('close', () => parent.log.info('a recording of the clients has ended'));
  void worker.record(socket, request);
};

startSyncWorker({
  config: parent.config,
  workerIndex,
  log: parent.log,
  board,
  versions,
  onError: error => parent.fatal(error),
})
  .then(started => {
    worker = started;
    parent.send({type: 'ready'});
  })
  .catch(error => parent.fatal(error));
