import type {Socket} from 'node:net';
import {type Replicating, startReplicating} from '../../pipelines/node.ts';
import {parentOf} from '../daemon/child-process.ts';
import {usage} from '../daemon/ipc.ts';
import {reportDownload} from '../daemon/report-download.ts';
import {reportProgress} from '../daemon/report-progress.ts';
import {tracedBoard} from '../daemon/traced-board.ts';
import {VersionSender} from '../daemon/version-channel.ts';
import {FrameTap} from '../replay/frame-tap.ts';
import {VERSION} from '../version.ts';

/** The process that is the only writer of the replica, and owns the slot or follows another node. */
const parent = parentOf('replicator');
const tap = new FrameTap();
const {board, stop} = tracedBoard({version: VERSION, worker: 'replicator', workerIndex: 0}, parent.log);
let running: Replicating | null = null;
/** Sockets of recorders that the dispatcher may still be reading from, in order. */
const arriving: (Socket | undefined)[] = [];
const report = reportProgress(parent.log);
const reportFetch = reportDownload(parent.log);

const SYNC_CLEANUP_MS = 1500;

/** The dispatcher has heard that there is a replica to serve; of later versions it hears only if workers do not by themselves. */
let announced = false;
const versions = await VersionSender.open();
if (versions) {
  process.on('exit', () => versions.close());
  parent.send({type: 'versions-at', path: versions.path});
}

startReplicating({
  config: parent.config,
  log: parent.log,
  board,
  tap,
  onEvent: event => {
    if (event.type === 'progress') return report(event.progress);
    if (event.type === 'download') return reportFetch(event.progress);
    if (event.type === 'version-ready') {
      versions?.send(event.ready);
      if (versions && announced) return;
      announced = true;
    } else if (event.type === 'recovery') {
      versions?.forget();
      announced = false;
    }
    parent.send(event);
  },
  onError: error => parent.fatal(error),
}).then(
  started => {
    running = started;
  },
  error => parent.fatal(error),
);

parent.onMessage((message, socket) => {
  if (message.type === 'record') arriving.push(socket);
  else if (message.type === 'handed-over') {
    const recorder = arriving.shift();
    if (recorder) void record(recorder);
  } else if (message.type === 'inspect') {
    void running
      ?.inspect()
      .then(body => parent.send({type: 'inspection', id: message.id, body, usage: usage()}));
  } else if (message.type === 'stop') {
    const syncing = running?.state === 'initial-sync';
    running?.stop();
    // What is being acknowledged now may still reach the socket, and an unfinished sync drops its slot.
    const flushed = new Promise(resolve => setTimeout(resolve, syncing ? SYNC_CLEANUP_MS : 50));
    void Promise.all([stop(), flushed]).finally(() => process.exit(0));
  }
});

/** Loaded when first asked for: most servers are never recorded. */
const record = async (socket: Socket) => {
  const {recordLive} = await import('../replay/live-recording.ts');
  parent.log.info('a recording of the stream begins');
  const {replica, numSyncWorkers} = parent.config;
  recordLive(socket, tap, replica.file, numSyncWorkers);
  socket.once('close', () => parent.log.info('a recording of the stream has ended'));
};
